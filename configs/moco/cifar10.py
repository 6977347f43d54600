"""MoCo v2 on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax import recipes
from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the authors' CIFAR-10 demo, whose loss is symmetric.

    python -m ssljax.main --config configs/moco/cifar10.py --workdir DIR
    """
    config = base_config("moco")
    recipes.cifar10(config, learning_rate=0.03)
    config.method.update(temperature=0.1, momentum=0.99, queue_size=4096, symmetric=True)
    config.method.view.crop_scale = (0.08, 1.0)
    return config
