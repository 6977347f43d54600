"""VICReg on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs, with the optimizer of lightly's CIFAR-10 benchmark.

    python -m ssljax.main --config vicreg/cifar10 --workdir DIR

    The authors give no values for CIFAR. The loss is 25 times that of the benchmark's methods: a
    25th of its learning rate (0.06 at batch 128) and 25 times its weight decay make up for it.
    """
    config = base_config("vicreg")
    cifar10.encoder(config, learning_rate=0.0048, weight_decay=0.0125)
    config.method.update(projector_layers=2, projector_hidden_dim=2048, projector_dim=2048)
    return config
