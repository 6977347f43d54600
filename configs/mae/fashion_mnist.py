"""The masked autoencoder on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin vision transformer on the 60,000 grey images of Fashion-MNIST, in patches of 4x4.

    python -m ssljax.main --config mae/fashion_mnist --workdir DIR

    benchmarks/RESULTS.md has its scores.
    """
    config = base_config("mae")
    config.batch_size = 64
    config.epochs = 5.0
    fashion_mnist.data(config)
    config.method.update(
        mask_ratio=0.5,  # Of 49 patches; the paper's images have 196.
        normalize_pixels=False,
        decoder_dim=64,
        decoder_depth=1,
        decoder_heads=2,
    )
    config.method.view.update(
        size=28, crop_scale=(0.5, 1.0), interpolation="bilinear", mean=None, std=None
    )
    # The class token has no loss of its own.
    config.model.encoder.update(name="vit_mini", patch_size=4, pool="mean")
    config.optimizer.update(
        name="adamw", learning_rate=3e-3, warmup_epochs=0.5, weight_decay=0.05, b2=0.95
    )
    return config
