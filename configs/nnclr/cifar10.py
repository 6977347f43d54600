"""NNCLR on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config nnclr/cifar10 --workdir DIR

    That benchmark has temperature 0.5 and contrasts both views with each other; here temperature
    and loss are the paper's. For a batch of 512 it has a queue of 8192.
    """
    config = base_config("nnclr")
    cifar10.encoder(config)
    config.method.update(queue_size=4096, projector_layers=2)
    return config
