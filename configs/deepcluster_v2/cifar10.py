"""DeepCluster-v2 on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, 200 epochs and one that fills the memory; SGD as in lightly's benchmark.

    python -m ssljax.main --config deepcluster_v2/cifar10 --workdir DIR

    The authors give no values for CIFAR; clusters and head are those for ImageNet.
    """
    config = base_config("deepcluster_v2")
    cifar10.encoder(config)
    config.epochs = 201.0
    config.method.local_crops = 0
    return config
