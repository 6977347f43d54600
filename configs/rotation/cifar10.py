"""Rotation prediction on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """The authors' training on CIFAR-10, or a thin network for a CPU.

        python -m ssljax.main --config rotation/cifar10 --workdir DIR
        python -m ssljax.main --config rotation/cifar10:cpu --workdir DIR

    Of 128 images the network sees 512 copies; the learning rate is not scaled up for them. The
    score "mlp" is to be compared with the paper's 89.06 %: it is of the same classifier with two
    hidden layers on the second block's maps, and linear probes are not. The authors report the best
    epoch on the test set, and this is the last one.

    Args:
      variant: "" for 200 epochs with a network in network of four blocks, on accelerators; "cpu"
        for a thin network and minutes on two cores.
    """
    config = base_config("rotation")
    config.batch_size = 128
    config.epochs = 200.0
    cifar10.data(config)
    config.model.encoder.update(name="nin", dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=0.1,
        nesterov=True,
        schedule="step",
        step_epochs=(60.0, 120.0, 160.0),
        step_factor=0.2,
        weight_decay=5e-4,
        exclude=(),
    )
    config.evals.stages = ("block1", "block2", "block3", "block4")
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        return config
    config.evals.mlp.stages = ("block2",)
    config.evals.final += ("mlp",)
    return config
