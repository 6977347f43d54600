"""SNGAN on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """The authors' residual networks: 50,000 train steps of five discriminator updates.

        python -m ssljax.main --config sngan/cifar10 --workdir DIR

    The authors add noise of less than a grey level to real images; here there is none. This config
    has not been run to its end.
    """
    config = base_config("sngan")
    config.batch_size = 64
    config.steps = 50_000
    cifar10.data(config)
    config.optimizer.update(
        name="adam", learning_rate=2e-4, schedule="linear", b1=0.0, b2=0.9, exclude=()
    )
    config.evals.knn.every = config.evals.pictures.every = 10_000
    return config
