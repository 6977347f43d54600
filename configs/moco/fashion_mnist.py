"""MoCo v2 on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin network on the 60,000 grey images of Fashion-MNIST.

    python -m ssljax.main --config moco/fashion_mnist --workdir DIR

    Takes 3 minutes on one CPU core, with the evaluations; benchmarks/RESULTS.md has its scores.
    """
    config = base_config("moco")
    fashion_mnist.encoder_on_cpu(config)
    config.method.update(momentum=0.99, queue_size=4096)
    return config
