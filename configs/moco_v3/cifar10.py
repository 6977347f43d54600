"""MoCo v3 on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, with the optimizer of lightly's CIFAR-10 benchmark.

    python -m ssljax.main --config moco_v3/cifar10 --workdir DIR

    The authors give no values for CIFAR.
    """
    config = base_config("moco_v3")
    cifar10.encoder(config)
    config.method.update(temperature=0.2, projector_hidden_dim=2048, predictor_hidden_dim=2048)
    return config
