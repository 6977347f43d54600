"""BYOL on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin network on the 60,000 grey images of Fashion-MNIST.

    python -m ssljax.main --config byol/fashion_mnist --workdir DIR

    Takes 4 minutes on one CPU core, with the evaluations; benchmarks/RESULTS.md has its scores.
    """
    config = base_config("byol")
    fashion_mnist.encoder_on_cpu(config)
    config.method.update(
        momentum=0.9, projector_hidden_dim=512, projector_dim=128, predictor_hidden_dim=512
    )
    # Without negatives Adam loses the random network's features faster than it finds others.
    config.optimizer.update(name="sgd", learning_rate=0.1, weight_decay=5e-4)
    return config
