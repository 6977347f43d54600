"""A discriminator's network on ever new tasks, on CIFAR-10."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """Two rounds of one class against the rest, 1000 steps each, as in the paper on SSGAN.

        python -m ssljax.main --config one_vs_rest/cifar10 --workdir DIR

    `--config.method.rotation_weight=0` leaves the rotations out, for comparison. This config has
    not been run to its end.
    """
    config = base_config("one_vs_rest")
    config.batch_size = 64
    config.steps = 20_000
    cifar10.data(config)
    config.optimizer.update(
        name="adam", learning_rate=2e-4, schedule="constant", b1=0.0, b2=0.9, exclude=()
    )
    return config
