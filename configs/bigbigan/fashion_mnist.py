"""BigBiGAN on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A 24th of the published width, and one rate for all networks.

    python -m ssljax.main --config bigbigan/fashion_mnist --workdir DIR

    As published, the encoder sees images of twice the generator's side: 32 and 16 pixels. It is
    deep and thin. The perceptrons of the discriminator have two layers in the place of eight. With
    one update of the discriminator a step, and an encoder that learns four times as fast, the
    discriminator was behind the others from the first hundred steps on. Takes 10 minutes on one
    core; benchmarks/RESULTS.md has its scores.
    """
    config = base_config("bigbigan")
    fashion_mnist.inference_on_cpu(config)
    config.batch_size = 64
    config.steps = 2000
    config.method.update(latent_dim=24, head_dim=256, ema_decay=0.99, image_size=16)
    config.method.update(encoder_rate=1.0)
    config.method.view.size = 32
    config.model.generator.width = 1 / 24
    config.model.discriminator.update(width=1 / 24, blocks=1)
    config.optimizer.update(learning_rate=5e-4, schedule="constant", b1=0.0)
    return config
