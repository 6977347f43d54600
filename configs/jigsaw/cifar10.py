"""Jigsaw puzzles on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """Nine tiles of 8 pixels from cells of 10, with a ResNet-18 or a thin network for a CPU.

        python -m ssljax.main --config jigsaw/cifar10 --workdir DIR
        python -m ssljax.main --config jigsaw/cifar10:cpu --workdir DIR

    The paper has no CIFAR-10: the steps of its recipe are here at an eighth of the size. The thin
    network keeps the tiles' colours and brightness. Without them it solves the puzzles too, and its
    features do not get better; with them a part of the answer may be how bright the borders are.

    Args:
      variant: "" for 200 epochs, on accelerators; "cpu" for a thin network and minutes on two
        cores.
    """
    config = base_config("jigsaw")
    cifar10.pretext(config)
    config.method.update(
        size=32,
        crop=30,
        tile=8,
        puzzles=8,
        embedding_dim=256,
        embedding="bn_relu",
        hidden_dim=1024,
        hidden="bn_relu",
        dropout=0.0,
    )
    config.method.view.update(size=32, mean=presets.CIFAR10_MEAN, std=presets.CIFAR10_STD)
    config.optimizer.update(name="sgd", learning_rate=0.1, weight_decay=5e-4, exclude=())
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.update(embedding_dim=64, hidden_dim=256, gray_p=0.0, normalization="view")
    return config
