"""DINOv2 on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin vision transformer on the 60,000 grey images of Fashion-MNIST, in patches of 7x7.

    python -m ssljax.main --config dinov2/fashion_mnist --workdir DIR

    There are no small crops. benchmarks/RESULTS.md has its scores.
    """
    config = base_config("dinov2")
    fashion_mnist.encoder_on_cpu(config)
    config.batch_size = 64
    config.epochs = 2.0
    config.method.update(
        teacher_temperature=0.04,
        teacher_warmup_epochs=0.0,
        momentum=0.99,
        freeze_last_layer_epochs=0.2,
        weight_decay_end=0.05,
        projector_layers=2,
        projector_hidden_dim=128,
        bottleneck_dim=64,
        patch_bottleneck_dim=64,
        out_dim=256,
        patch_out_dim=256,
        local_crops=0,
    )
    # Else all class tokens are nearly the same at first.
    config.model.encoder.update(
        name="vit_mini", patch_size=7, registers=2, positions="sincos", initializer="xavier"
    )
    config.optimizer.update(learning_rate=2e-3, weight_decay=0.05, clip_norm=0.0)
    return config
