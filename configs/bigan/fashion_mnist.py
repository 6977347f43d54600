"""BiGAN on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """Convolutional networks of half the width that the authors have on ImageNet.

    python -m ssljax.main --config bigan/fashion_mnist --workdir DIR

    This config has not been run to its end.
    """
    config = base_config("bigan")
    fashion_mnist.inference_on_cpu(config)
    config.model.generator.update(name="bigan", width=0.5)
    config.model.discriminator.update(name="bigan", width=0.5)
    config.optimizer.update(b1=0.5, weight_decay=2.5e-5)
    return config
