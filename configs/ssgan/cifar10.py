"""SSGAN on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """Residual networks, the generator self-modulated, with one of the paper's choices for Adam.

        python -m ssljax.main --config ssgan/cifar10 --workdir DIR

    `--config.method.gan_weight=0` leaves the rotations alone, for comparison. This config has not
    been run to its end.
    """
    config = base_config("ssgan")
    config.batch_size = 64
    config.steps = 100_000
    cifar10.data(config)
    config.optimizer.update(
        name="adam", learning_rate=2e-4, schedule="constant", b1=0.5, exclude=()
    )
    config.evals.knn.every = config.evals.pictures.every = 20_000
    return config
