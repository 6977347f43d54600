"""MoCo on ImageNet."""

import dataclasses
from typing import Literal

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config(variant: Literal["", "v1"] = "") -> ConfigDict:
    """The settings of v2, or of v1: ResNet-50, batch 256, SGD, 200 epochs.

        python -m ssljax.main --config moco/imagenet --workdir DIR
        python -m ssljax.main --config moco/imagenet:v1 --workdir DIR

    Needs `imagenet2012`, prepared with TFDS as array_record, and several accelerators.

    Args:
      variant: "" for v2; "v1" for the linear head, temperature 0.07, milder views and a learning
        rate that falls in two steps.
    """
    config = base_config("moco")
    imagenet.pretraining(config, batch_size=256, epochs=200.0, eval_every=25020, save_every=5004)
    config.model.encoder.update(name="resnet50", stem="imagenet", dtype="bfloat16")
    config.optimizer.update(name="sgd", learning_rate=0.03, weight_decay=1e-4, exclude=())
    if variant == "v1":
        config.method.update(temperature=0.07, projector_layers=1)
        config.method.view = ConfigDict(dataclasses.asdict(presets.moco_v1(224)))
        config.optimizer.update(schedule="step", step_epochs=(120.0, 160.0))
    return config
