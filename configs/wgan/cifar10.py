"""WGAN on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """The paper's settings, for LSUN there: RMSprop, five updates of a clipped critic.

        python -m ssljax.main --config configs/wgan/cifar10.py --workdir DIR

    100,000 train steps are our choice. This config has not been run to its end.
    """
    config = base_config("wgan")
    config.batch_size = 64
    config.steps = 100_000
    config.data.update(name="cifar10", image_size=32, cache="device")
    config.optimizer.update(
        name="rmsprop", learning_rate=5e-5, schedule="constant", decay=0.99, exclude=()
    )
    config.evals.stages = ("block3",)
    config.evals.knn.every = config.evals.pictures.every = 20_000
    return config
