"""The conditional GAN on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """Two convolutional networks of a quarter of the published width, told the classes.

    python -m ssljax.main --config cgan/fashion_mnist --workdir DIR
    """
    config = base_config("cgan")
    fashion_mnist.gan_on_cpu(config)
    config.model.generator.name = "dcgan"
    config.model.discriminator.name = "dcgan"
    config.method.update(discriminator_steps=1, generator_batch=1)
    return config
