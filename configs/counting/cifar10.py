"""Learning to count on CIFAR-10."""

import dataclasses
from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import ViewPolicy, presets
from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """Tiles of 16 pixels, with a network in network without norms or a thin one for a CPU.

        python -m ssljax.main --config counting/cifar10 --workdir DIR
        python -m ssljax.main --config counting/cifar10:cpu --workdir DIR

    The paper has no CIFAR-10: optimizer and length are those of `counting/imagenet`. Images are
    shifted and not resized, which would leave traces of another filter.

    Args:
      variant: "" for 250 epochs, on accelerators; "cpu" for a thin network, minutes on two
        cores. It blurs small images and tiles by 1 to 2 pixels and adds noise of two grey levels,
        which hides what is left of the filters' traces.
    """
    config = base_config("counting")
    config.batch_size = 256
    config.epochs = 250.0
    cifar10.data(config)
    view = ViewPolicy(
        32, crop_scale=None, crop_padding=4, mean=presets.CIFAR10_MEAN, std=presets.CIFAR10_STD
    )
    config.method.view.update(dataclasses.asdict(view))
    config.model.encoder.update(name="nin", dtype="bfloat16")
    config.optimizer.update(name="adam", learning_rate=1e-4, schedule="linear")
    config.evals.stages = ("block1", "block2", "block3", "block4")
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.update(blur=(1.0, 2.0), noise=2 / 255)
        config.method.view.crop_padding = 0  # Black bars would be wider in tiles.
    return config
