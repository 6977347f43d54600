"""OBoW on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """OBoW with a ResNet-18 on small images, or with a thin network for a CPU.

        python -m ssljax.main --config bag_of_words/cifar10 --workdir DIR
        python -m ssljax.main --config bag_of_words/cifar10:cpu --workdir DIR

    The paper has no CIFAR-10. Temperature and scale are the authors' for ResNet-18; crops,
    vocabulary and length are our choice.

    Args:
      variant: "" for accelerators; "cpu" for a thin network, fewer words and minutes on two cores.
    """
    config = base_config("bag_of_words")
    config.batch_size = 256
    config.epochs = 200.0
    cifar10.data(config)
    config.method.update(
        queue_size=2048, inverse_temperature=10.0, scale=5.0, crops=2, local_crops=0, center=1.0
    )
    normal = dict(mean=presets.CIFAR10_MEAN, std=presets.CIFAR10_STD)
    config.method.view.update(size=32, **normal)
    config.method.crop_view.update(size=32, crop_scale=(0.2, 0.8), blur_p=0.0, **normal)
    config.method.local_view.update(size=16, crop_scale=(0.1, 0.3), **normal)
    config.model.encoder.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="sgd", learning_rate=0.06, scaling="linear", weight_decay=5e-4, exclude=()
    )
    config.evals.stages = ("stage1", "stage2", "stage3", "stage4")
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
        config.method.update(queue_size=512)
    return config
