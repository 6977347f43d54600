"""DCL on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config dcl/cifar10 --workdir DIR

    The loss here is the sum over both views, which that benchmark halves: half of its learning rate
    (0.06 at batch 128) and twice its weight decay make the same steps.
    """
    config = base_config("dcl")
    cifar10.encoder(config, learning_rate=0.06, weight_decay=1e-3)
    return config
