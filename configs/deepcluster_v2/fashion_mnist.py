"""DeepCluster-v2 on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax import recipes
from ssljax.config import base_config


def get_config() -> ConfigDict:
    """A thin network on the 60,000 grey images of Fashion-MNIST; two crops, no small ones.

    python -m ssljax.main --config configs/deepcluster_v2/fashion_mnist.py --workdir DIR
    """
    config = base_config("deepcluster_v2")
    recipes.fashion_mnist_cpu(config)
    config.epochs = 2.5
    config.method.update(
        prototypes=200,
        clustering_epochs=0.25,
        projector_hidden_dim=256,
        projector_dim=64,
        local_crops=0,
    )
    return config
