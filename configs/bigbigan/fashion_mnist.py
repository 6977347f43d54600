"""BigBiGAN on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A 24th of the published width, one update a player, and images of one size for all networks.

    The perceptrons of the discriminator have two layers in the place of eight.

    python -m ssljax.main --config bigbigan/fashion_mnist --workdir DIR

    This config has not been run to its end.
    """
    config = base_config("bigbigan")
    fashion_mnist.inference_on_cpu(config)
    config.method.update(latent_dim=60, head_dim=256, ema_decay=0.99)
    config.method.update(discriminator_steps=1, encoder_rate=1.0)
    config.model.generator.width = 1 / 24
    config.model.discriminator.update(width=1 / 24, blocks=1)
    config.optimizer.update(b1=0.0)
    return config
