"""LeJEPA on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin network on the 60,000 grey images of Fashion-MNIST; two crops, no small ones.

    python -m ssljax.main --config lejepa/fashion_mnist --workdir DIR

    benchmarks/RESULTS.md has its scores.
    """
    config = base_config("lejepa")
    fashion_mnist.encoder_on_cpu(config)
    config.method.update(slices=256, projector_hidden_dim=256, projector_dim=16, local_crops=0)
    return config
