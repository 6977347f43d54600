"""Supervised learning on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """All labels: the schedule of the ResNet paper with a ResNet-18, or a thin network for a CPU.

        python -m ssljax.main --config supervised/cifar10 --workdir DIR
        python -m ssljax.main --config supervised/cifar10:cpu --workdir DIR

    Args:
      variant: "" for the paper's 64,000 steps, on accelerators; "cpu" for the thin network, steps
        and data that all pretext tasks share, as the line above them.
    """
    config = base_config("supervised")
    config.method.view.update(
        size=32,
        crop_scale=None,
        crop_padding=4,
        mean=presets.CIFAR10_MEAN,
        std=presets.CIFAR10_STD,
    )
    config.batch_size = 128
    config.steps = 64000
    cifar10.data(config)
    config.model.encoder.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=0.1,
        schedule="step",
        step_fractions=(0.5, 0.75),
        step_factor=0.1,
        weight_decay=1e-4,
        exclude=(),
    )
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
    config.evals.final = ("classifier", "knn", "linear", "few_label")
    return config
