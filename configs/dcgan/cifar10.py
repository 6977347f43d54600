"""DCGAN on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """The paper's settings, with networks for images of 32 pixels, which it does not have.

        python -m ssljax.main --config dcgan/cifar10 --workdir DIR

    200 epochs are our choice. This config has not been run to its end.
    """
    config = base_config("dcgan")
    config.batch_size = 128
    config.epochs = 200.0
    cifar10.data(config)
    config.optimizer.update(
        name="adam", learning_rate=2e-4, schedule="constant", b1=0.5, exclude=()
    )
    config.evals.stages = ("block3",)
    config.evals.knn.every = config.evals.pictures.every = 15600
    return config
