"""A discriminator's network on ever new tasks, on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """Three rounds of one class against the rest, 300 steps each, by a thin network.

        python -m ssljax.main --config one_vs_rest/fashion_mnist --workdir DIR

    `--config.method.rotation_weight=0` leaves the rotations out, for comparison.
    """
    config = base_config("one_vs_rest")
    config.batch_size = 64
    config.steps = 9000
    fashion_mnist.data(config)
    config.method.block = 300
    config.model.discriminator.update(name="dcgan", width=0.125)
    config.optimizer.update(
        name="adam", learning_rate=5e-4, schedule="constant", b1=0.5, b2=0.999, exclude=()
    )
    config.evals.stages = ("block2",)  # Its "features" are the activations of all places.
    return config
