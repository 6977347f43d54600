"""EBGAN on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A convolutional generator and autoencoder.

    python -m ssljax.main --config ebgan/fashion_mnist --workdir DIR
    """
    config = base_config("ebgan")
    fashion_mnist.gan_on_cpu(config)
    config.method.pulling_away = 0.1
    return config
