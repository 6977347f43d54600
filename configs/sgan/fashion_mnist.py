"""SGAN on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """Ten labels a class, and all images without.

    python -m ssljax.main --config sgan/fashion_mnist --workdir DIR
    """
    config = base_config("sgan")
    fashion_mnist.gan_on_cpu(config)
    config.data.labels = 10.0
    config.method.discriminator_ema_decay = 0.99
    config.evals.update(final=("classifier", "pictures"), baselines=False)
    return config
