"""DeepCluster-v2 on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin network on 10,000 grey images of Fashion-MNIST; two crops, no small ones.

    python -m ssljax.main --config deepcluster_v2/fashion_mnist --workdir DIR

    Takes 4 minutes on one CPU core, with the evaluations; benchmarks/RESULTS.md has its scores.
    """
    config = base_config("deepcluster_v2")
    fashion_mnist.encoder_on_cpu(config)
    # An epoch must be short beside the network's drift: otherwise the clusters tell when an image
    # was seen, and not what it is.
    config.data.split = "train[:10000]"
    config.epochs = 10.0
    config.method.update(prototypes=50, projector_hidden_dim=256, projector_dim=64, local_crops=0)
    config.optimizer.update(name="sgd", learning_rate=0.03, weight_decay=5e-4)
    return config
