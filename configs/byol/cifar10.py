"""BYOL on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, after the CIFAR-10 benchmark of lightly.

    python -m ssljax.main --config byol/cifar10 --workdir DIR

    The loss here has 4 times the gradient of that benchmark's, which takes halved cosines: a
    quarter of its learning rate (0.06 at batch 128) and 4 times its weight decay make the same
    steps. Its momentum is 0.99 to the end; here it climbs to 1.
    """
    config = base_config("byol")
    cifar10.encoder(config, learning_rate=0.03, weight_decay=2e-3)
    config.method.update(momentum=0.99, projector_hidden_dim=1024, predictor_hidden_dim=1024)
    return config
