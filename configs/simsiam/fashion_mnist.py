"""SimSiam on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin network on the 60,000 grey images of Fashion-MNIST.

    python -m ssljax.main --config simsiam/fashion_mnist --workdir DIR

    Takes 6 minutes on one CPU core, with the evaluations; benchmarks/RESULTS.md has its scores.
    """
    config = base_config("simsiam")
    fashion_mnist.encoder_on_cpu(config)
    config.epochs = 3.5
    # At 1 the predictions' effective rank ends at 2.1 to 2.9 of 128, by the seed; at 10, at 7 to 8.
    config.method.predictor_rate = 10.0
    config.method.update(
        projector_layers=2, projector_hidden_dim=512, projector_dim=128, predictor_hidden_dim=512
    )
    # Without negatives Adam loses the random network's features faster than it finds others.
    config.optimizer.update(name="sgd", learning_rate=0.1, weight_decay=5e-4)
    return config
