"""EBGAN on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """EBGAN-PT with the margin that the paper has for CelebA; it has no images of 32 pixels.

        python -m ssljax.main --config ebgan/cifar10 --workdir DIR

    Learning rate and epochs are our choice. This config has not been run to its end.
    """
    config = base_config("ebgan")
    config.batch_size = 128
    config.epochs = 200.0
    cifar10.data(config)
    config.method.update(margin=20.0, pulling_away=0.1)
    config.optimizer.update(
        name="adam", learning_rate=2e-4, schedule="constant", b1=0.5, exclude=()
    )
    config.evals.stages = ("block3",)
    config.evals.knn.every = config.evals.pictures.every = 15600
    return config
