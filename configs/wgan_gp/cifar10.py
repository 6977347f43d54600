"""WGAN-GP on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """The paper's residual networks: 100,000 train steps of five critic updates.

        python -m ssljax.main --config wgan_gp/cifar10 --workdir DIR

    The authors add noise of less than a grey level to real images; here there is none. This config
    has not been run to its end.
    """
    config = base_config("wgan_gp")
    config.batch_size = 64
    config.steps = 100_000
    cifar10.data(config)
    config.optimizer.update(
        name="adam", learning_rate=2e-4, schedule="linear", b1=0.0, b2=0.9, exclude=()
    )
    config.evals.knn.every = config.evals.pictures.every = 20_000
    return config
