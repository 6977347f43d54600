"""Exemplars on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """A class for each of 8,000 seed images with a ResNet-18, or fewer with a thin network.

        python -m ssljax.main --config exemplar/cifar10 --workdir DIR
        python -m ssljax.main --config exemplar/cifar10:cpu --workdir DIR

    The paper has CIFAR-10 as a test of features alone. Its seeds are patches of larger photographs;
    here they are whole images, of which patches show the larger part. For the form that compares
    triplets instead, with all images of the set:

        python -m ssljax.main --config exemplar/cifar10:cpu --workdir DIR
            --config.method.form=triplet --config.method.crops=2 --config.data.split=train

    Args:
      variant: "" for accelerators; "cpu" for a thin network and minutes on two cores.
    """
    config = base_config("exemplar")
    config.batch_size = 128
    config.epochs = 1000.0
    cifar10.data(config)
    config.data.split = "train[:8000]"
    config.method.embedding_dim = 128
    config.method.patch.update(scale=(1.0, 1.6), shift=0.1)
    config.method.view.update(
        size=32,
        crop_scale=(0.3, 1.0),
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        gray_p=0.66,
        mean=presets.CIFAR10_MEAN,
        std=presets.CIFAR10_STD,
    )
    config.model.encoder.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.1, nesterov=True, weight_decay=5e-4, exclude=()
    )
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.data.split = "train[:1000]"
    return config
