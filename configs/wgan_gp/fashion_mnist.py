"""WGAN-GP on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """Two convolutional networks of a quarter of the published width, two critic updates a step.

    python -m ssljax.main --config wgan_gp/fashion_mnist --workdir DIR
    """
    config = base_config("wgan_gp")
    fashion_mnist.gan_on_cpu(config)
    config.model.generator.name = "dcgan"
    config.model.discriminator.name = "dcgan"
    config.method.update(discriminator_steps=2, generator_batch=1)
    config.optimizer.update(b1=0.0, b2=0.9)
    return config
