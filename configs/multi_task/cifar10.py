"""Several pretext tasks over one encoder on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config import file as config_file
from ssljax.config.base import base_config
from ssljax.methods.pretext import multi_task
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """Three of the paper's tasks over stages of a ResNet-18, or over a thin network for a CPU.

        python -m ssljax.main --config multi_task/cifar10 --workdir DIR
        python -m ssljax.main --config multi_task/cifar10:cpu --workdir DIR

    `--config.method.tasks=rotation,jigsaw --config.method.shares=1,1` chooses others. Each has the
    keys of its own config for CIFAR-10, such as `--config.method.rotation.view.crop_padding=0`;
    exemplars are compared as triplets. The paper's fourth task, motion segmentation, learns from
    masks: `--config.method.tasks=context_prediction,colorization,exemplar,motion_segmentation
    --config.method.shares=1,1,1,1 --config.method.frames.name=folder
    --config.method.frames.dir=MASKS` takes them from what `ssljax.tools.motion_masks` has made.

    Args:
      variant: "" for 200 epochs on accelerators; "cpu" for the thin network, batch and steps that
        each task alone has, so that the tasks share as many images as one of them sees alone.
    """
    config = base_config("multi_task")
    config.method.tasks = ("context_prediction", "colorization", "exemplar")
    # Relative patches get two parts of four: a batch of 128 has no thirds.
    config.method.shares = (2, 1, 1)
    config.method.motion_segmentation.update(places=8, head_dim=64)
    config.method.motion_segmentation.view.update(
        size=32, mean=presets.CIFAR10_MEAN, std=presets.CIFAR10_STD
    )
    for name in sorted(multi_task.TASKS.keys() - {"motion_segmentation"}):
        alone = config_file.load(f"{name}/cifar10:{variant}" if variant else f"{name}/cifar10")
        own = config.method[name]
        own.update({key: alone.method[key] for key in own})
    # As classes the exemplars would be all images of the set.
    config.method.exemplar.update(form="triplet", crops=2)
    config.method.view.update(size=32, mean=presets.CIFAR10_MEAN, std=presets.CIFAR10_STD)
    config.batch_size = 128
    config.epochs = 200.0
    cifar10.data(config)
    config.model.encoder.update(name="resnet18", stem="cifar", stages=3, dtype="bfloat16")
    config.optimizer.update(
        name="sgd",
        learning_rate=0.1,
        nesterov=True,
        schedule="step",
        step_fractions=(0.3, 0.6, 0.8),
        step_factor=0.2,
        weight_decay=5e-4,
        exclude=(),
    )
    config.evals.stages = ("stage1", "stage2", "stage3")
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
    return config
