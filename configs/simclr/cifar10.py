"""SimCLR on CIFAR-10."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """The authors' CIFAR-10 recipe, or a thin network for a CPU.

        python -m ssljax.main --config simclr/cifar10 --workdir DIR
        python -m ssljax.main --config simclr/cifar10:cpu --workdir DIR

    The thin network takes 6 minutes on two CPU cores; on a JPEG copy of the data (quality 75) kNN
    (k 20) is 52.0 %, random network 35.6 %, raw pixels 36.3 %. Of the recipe itself 124 epochs have
    been run, in 5 minutes on an H200: kNN 77.9 % on that copy.

    Args:
      variant: "" for ResNet-18, 1000 epochs at batch 512, on accelerators; "cpu" for a thin
        network and 6 epochs.
    """
    config = base_config("simclr")
    config.batch_size = 512
    config.epochs = 1000.0
    cifar10.data(config)
    config.method.temperature = 0.5
    config.method.view.update(
        size=32, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur_p=0.0
    )
    config.model.encoder.update(name="resnet18", stem="cifar", dtype="bfloat16")
    config.optimizer.update(
        name="lars",
        learning_rate=1.0,
        scaling="linear",
        warmup_epochs=10.0,
        weight_decay=1e-4,
    )
    config.evals.knn.every = 9700
    if variant == "cpu":
        config.batch_size = 256
        config.epochs = 6.0
        config.method.view.contrast_mode = "torchvision"  # As in the figures above.
        config.model.encoder.update(name="small", dtype="float32")
        config.optimizer.update(
            name="adamw",
            learning_rate=2e-3,
            scaling="none",
            warmup_epochs=0.5,
            weight_decay=1e-4,
            clip_norm=1.0,
        )
        config.evals.knn.every = 0
    return config
