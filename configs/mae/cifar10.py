"""The masked autoencoder on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ViT-Ti on patches of 4x4 pixels, 400 epochs; the paper has no recipe for CIFAR-10.

    python -m ssljax.main --config mae/cifar10 --workdir DIR
    """
    config = base_config("mae")
    config.batch_size = 512
    config.epochs = 400.0
    cifar10.data(config)
    config.method.update(decoder_dim=192, decoder_depth=4, decoder_heads=3)
    config.method.view.size = 32
    config.model.encoder.update(name="vit_tiny", patch_size=4, dtype="bfloat16")
    config.optimizer.update(
        name="adamw",
        learning_rate=5e-4,
        scaling="linear",
        warmup_epochs=20.0,
        weight_decay=0.05,
        b2=0.95,
    )
    config.evals.knn.every = 9700
    return config
