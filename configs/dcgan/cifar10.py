"""DCGAN on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """The paper's settings, with networks for images of 32 pixels, which it does not have.

        python -m ssljax.main --config configs/dcgan/cifar10.py --workdir DIR

    200 epochs are our choice. This config has not been run to its end.
    """
    config = base_config("dcgan")
    config.batch_size = 128
    config.epochs = 200.0
    config.data.update(name="cifar10", image_size=32, cache="device")
    config.optimizer.update(
        name="adam", learning_rate=2e-4, schedule="constant", b1=0.5, exclude=()
    )
    config.evals.stages = ("block3",)
    config.evals.knn.every = config.evals.pictures.every = 15600
    return config
