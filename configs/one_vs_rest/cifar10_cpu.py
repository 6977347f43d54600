"""A discriminator's network on ever new tasks, on CIFAR-10, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config() -> ConfigDict:
    """Two rounds of one class against the rest, 1000 steps each, by a thin network.

        python -m ssljax.main --config one_vs_rest/cifar10_cpu --workdir DIR

    `--config.method.rotation_weight=0` leaves the rotations out, for comparison.
    """
    config = base_config("one_vs_rest")
    config.batch_size = 64
    config.steps = 20_000
    cifar10.data(config)
    config.model.discriminator.update(name="dcgan", width=0.125)
    config.optimizer.update(
        name="adam", learning_rate=2e-4, schedule="constant", b1=0.0, b2=0.9, exclude=()
    )
    config.evals.stages = ("block2",)  # Its "features" are the activations of all places.
    return config
