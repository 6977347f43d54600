"""WGAN on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """The paper's settings, for LSUN there: RMSprop, five updates of a clipped critic.

        python -m ssljax.main --config wgan/cifar10 --workdir DIR

    100,000 train steps are our choice. This config has not been run to its end.
    """
    config = base_config("wgan")
    config.batch_size = 64
    config.steps = 100_000
    cifar10.data(config)
    config.optimizer.update(
        name="rmsprop", learning_rate=5e-5, schedule="constant", decay=0.99, exclude=()
    )
    config.evals.stages = ("block3",)
    config.evals.knn.every = config.evals.pictures.every = 20_000
    return config
