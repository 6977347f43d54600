"""WGAN-GP on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax import recipes
from ssljax.config import base_config


def get_config() -> ConfigDict:
    """Two convolutional networks, with layer norm in the critic.

    python -m ssljax.main --config configs/wgan_gp/fashion_mnist.py --workdir DIR
    """
    config = base_config("wgan_gp")
    recipes.fashion_mnist_gan_cpu(config)
    config.method.generator.name = "dcgan"
    config.method.discriminator.update(name="dcgan", norm="layer")
    return config
