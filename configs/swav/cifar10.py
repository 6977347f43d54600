"""SwAV on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config swav/cifar10 --workdir DIR

    The optimizer is SGD, as for the other methods of that benchmark; its SwAV has Adam.
    """
    config = base_config("swav")
    cifar10.encoder(config)
    config.method.update(prototypes=512, projector_hidden_dim=512, local_crops=0)
    config.method.view.crop_scale = (0.14, 1.0)
    return config
