"""BoWNet on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """Words that a finished RotNet finds, predicted by a ResNet-18, or by a thin network.

        python -m ssljax.main --config bownet/cifar10 --workdir DIR --config.init.workdir=ROTNET
        python -m ssljax.main --config bownet/cifar10:cpu --workdir DIR
            --config.init.workdir=ROTNET

    ROTNET is the workdir of a finished run of `rotation/cifar10` with the same variant. Vocabulary,
    views and length are our choice.

    Args:
      variant: "" for accelerators; "cpu" for a thin network, fewer words and minutes on two cores.
    """
    config = base_config("bownet")
    cifar10.pretext(config)
    config.method.level = 2
    config.optimizer.update(
        name="sgd", learning_rate=0.1, nesterov=True, weight_decay=5e-4, exclude=()
    )
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.update(words=256, queue_size=12800, level=1)
    return config
