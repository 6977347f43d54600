"""Barlow Twins on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config barlow_twins/cifar10 --workdir DIR

    Norms and biases learn as fast as the weights there, and here.
    """
    config = base_config("barlow_twins")
    cifar10.encoder(config)
    config.method.update(
        projector_layers=2, projector_hidden_dim=2048, projector_dim=2048, bias_rate=1.0
    )
    return config
