"""EBGAN on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax import recipes
from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """A convolutional generator and autoencoder.

    python -m ssljax.main --config configs/ebgan/fashion_mnist.py --workdir DIR
    """
    config = base_config("ebgan")
    recipes.fashion_mnist_gan_cpu(config)
    config.method.pulling_away = 0.1
    return config
