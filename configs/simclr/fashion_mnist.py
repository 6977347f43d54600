"""SimCLR on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin network on the 60,000 grey images of Fashion-MNIST.

    python -m ssljax.main --config simclr/fashion_mnist --workdir DIR

    Takes 4 minutes on one CPU core, with the evaluations; benchmarks/RESULTS.md has its scores.
    """
    config = base_config("simclr")
    fashion_mnist.encoder_on_cpu(config)
    config.method.temperature = 0.2
    return config
