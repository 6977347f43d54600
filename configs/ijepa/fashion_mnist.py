"""I-JEPA on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin vision transformer on the 60,000 grey images of Fashion-MNIST, in patches of 7x7.

    python -m ssljax.main --config ijepa/fashion_mnist --workdir DIR

    benchmarks/RESULTS.md has its scores.
    """
    config = base_config("ijepa")
    config.batch_size = 64
    config.epochs = 4.0
    fashion_mnist.data(config)
    config.method.update(
        context_capacity=0.6,
        least_context=3,  # Of 16 patches; the paper's images have 256.
        predictor_dim=32,
        predictor_depth=2,
        predictor_heads=2,
        momentum=0.998,
        weight_decay_end=0.05,
    )
    # A third of the set's own deviation: else the sines and cosines of the places outweigh what the
    # patches show, are told easily, and become all that the target encoder says.
    config.method.view.update(size=28, crop_scale=(0.5, 1.0), mean=(0.286,), std=(0.1,))
    config.model.encoder.update(
        name="vit_mini", patch_size=7, class_token=False, initializer="xavier"
    )
    config.optimizer.update(name="adamw", learning_rate=2e-3, warmup_epochs=0.25, weight_decay=0.05)
    return config
