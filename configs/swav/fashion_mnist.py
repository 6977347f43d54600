"""SwAV on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin network on the 60,000 grey images of Fashion-MNIST; two crops, no small ones.

    python -m ssljax.main --config swav/fashion_mnist --workdir DIR

    Takes 4 minutes on one CPU core, with the evaluations; benchmarks/RESULTS.md has its scores.
    """
    config = base_config("swav")
    fashion_mnist.encoder_on_cpu(config)
    config.method.update(
        prototypes=200,
        freeze_prototypes_epochs=0.2,
        projector_hidden_dim=256,
        projector_dim=64,
        local_crops=0,
    )
    return config
