"""Fine-tuning on CIFAR-10 with few of its labels."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config
from ssljax.recipes import cifar10


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """A pretrained encoder and a new classifier learn from 10 labelled images of each class.

        python -m ssljax.main --config finetune/cifar10 --workdir DIR \
            --config.init.workdir=PRETRAINED
        python -m ssljax.main --config finetune/cifar10:cpu --workdir DIR \
            --config.init.workdir=PRETRAINED

    PRETRAINED is the workdir of a run of the same variant, such as that of `rotation/cifar10:cpu`;
    without it the network starts untrained. `--config.data.labels=1000` takes 1,000 labels of each
    class. The number of steps does not depend on it.

    Args:
      variant: "" for a ResNet-18, on accelerators; "cpu" for the thin network of the pretext tasks.
    """
    config = base_config("finetune")
    config.method.from_layer = 0
    config.method.view.update(
        size=32,
        crop_scale=None,
        crop_padding=4,
        interpolation="bilinear",
        mean=presets.CIFAR10_MEAN,
        std=presets.CIFAR10_STD,
    )
    config.model.encoder.update(name="resnet18", stem="cifar", dtype="bfloat16")
    if variant == "cpu":
        cifar10.pretext_on_cpu(config)
    cifar10.data(config)
    config.data.labels = 10.0
    config.batch_size = 100
    config.steps = 1000
    config.optimizer.update(
        name="adamw",
        learning_rate=1e-3,
        schedule="cosine",
        warmup_epochs=0.0,
        warmup_steps=100,
        weight_decay=1e-4,
        clip_norm=1.0,
    )
    config.evals.update(final=("classifier",), baselines=False)
    return config
