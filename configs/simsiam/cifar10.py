"""SimSiam on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax import recipes
from ssljax.config import base_config


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, with the paper's values for CIFAR-10, where it has 800 epochs.

    python -m ssljax.main --config configs/simsiam/cifar10.py --workdir DIR
    """
    config = base_config("simsiam")
    recipes.cifar10(config, learning_rate=0.03)
    config.method.projector_layers = 2
    config.model.zero_init_residual = True
    return config
