"""ProGAN on Fashion-MNIST, on a CPU."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config(variant: Literal["", "from_the_start"] = "") -> ConfigDict:
    """Thin networks that grow to 32 pixels, to which the images of 28 are enlarged.

        python -m ssljax.main --config progan/fashion_mnist --workdir DIR

    Takes 31 minutes on about a third of one core; benchmarks/RESULTS.md has its scores. Each fade
    is as long as the phase that follows it, as published, and 75 % of the images are seen at full
    size, between the authors' 20 % (CelebA-HQ) and 88 % (CIFAR-10).

    Args:
      variant: "from_the_start" has the same networks and as many images, all of full size.
    """
    config = base_config("progan")
    config.batch_size = 16
    config.steps = 6000
    fashion_mnist.data(config)
    config.data.image_size = 32
    config.method.update(latent_dim=64, ema_decay=0.998, stable_kimg=4.0, fade_kimg=4.0)
    for network in config.model.values():
        network.update(fmap_base=128, fmap_max=64)
    config.optimizer.update(
        name="adam", learning_rate=1e-3, schedule="constant", b1=0.0, b2=0.99, exclude=()
    )
    if variant == "from_the_start":
        config.method.update(stable_kimg=0.0, fade_kimg=0.0)
    return config
