"""Colorization on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """The ResNet-18 of the other tasks, or a thin network for a CPU.

        python -m ssljax.main --config colorization/cifar10 --workdir DIR
        python -m ssljax.main --config colorization/cifar10:cpu --workdir DIR

    Args:
      variant: "" for 200 epochs on accelerators; "cpu" for a thin network and minutes on two cores,
        with the paper's 5 neighbours, which take half the time.
    """
    config = base_config("colorization")
    cifar10.pretext(config)
    config.method.update(places=8)
    config.method.view.update(size=32, crop_scale=(0.5, 1.0), crop_ratio=(3 / 4, 4 / 3))
    config.optimizer.update(
        name="adamw",
        learning_rate=1e-3,
        scaling="none",
        schedule="cosine",
        warmup_epochs=5.0,
        weight_decay=1e-3,
    )
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.update(neighbors=5, head_dim=64)
        config.method.view.crop_scale = None
    return config
