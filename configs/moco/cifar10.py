"""MoCo v2 on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """ResNet-18, batch 512, 200 epochs: the authors' CIFAR-10 demo, whose loss is symmetric.

    python -m ssljax.main --config moco/cifar10 --workdir DIR

    As there, the head is one linear layer, and the colours are normalised by CIFAR's statistics.
    """
    config = base_config("moco")
    cifar10.encoder(config, learning_rate=0.03)
    config.batch_size = 512
    config.evals.knn.every = 4850
    config.method.update(
        temperature=0.1, momentum=0.99, queue_size=4096, projector_layers=1, symmetric=True
    )
    config.method.view.update(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
    return config
