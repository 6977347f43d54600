"""Detection of blood cells in BCCD's microscope images."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """FCOS with a ResNet-50, or a thin network with the same pyramid and head on a CPU.

        python -m ssljax.main --config detect/bccd --workdir DIR --config.init.workdir=ENCODER
        python -m ssljax.main --config detect/bccd:cpu --workdir DIR

    The set is TFDS-prepared as `bccd`: 205, 87 and 72 images of 640x480 pixels with boxes of red
    cells, white cells and platelets. They stand in squares with black above and below.
    `--config.evals.test_split=validation` scores what settings are to be chosen by. The thin
    variant took 8 minutes on one core that had other work, benchmarks/RESULTS.md has its scores;
    the other has not been run to its end, and its 5,000 steps are a guess.

    Args:
      variant: "" for the numbers that are published for COCO, with an encoder from ENCODER; "cpu"
        for an untrained encoder of 16 to 96 channels on 160 pixels, all of which learns. With
        `--config.method.train_encoder=false` its pyramid and head alone do.
    """
    config = base_config("detect")
    config.batch_size = 16
    config.steps = 5_000
    config.data.update(
        name="bccd",
        image_size=640,
        resize="pad",
        boxes_key="objects/bbox",
        box_classes=3,
        max_boxes=32,
        cache="device",
    )
    config.method.view.size = 640
    config.optimizer.update(
        name="sgd",
        learning_rate=0.01,
        momentum=0.9,
        schedule="step",
        step_fractions=(2 / 3, 8 / 9),
        warmup_steps=500,
        weight_decay=1e-4,
    )
    config.evals.update(final=("detection",), test_split="test")
    if variant == "cpu":
        config.batch_size = 8
        config.steps = 300
        config.data.image_size = 160
        config.method.update(train_norms=True, bias_rate=1.0, ranges=(32.0, 64.0))
        config.method.view.update(size=160)
        config.model.encoder.update(
            name="small", widths=(16, 32, 64, 96), convs_per_stage=2, stem_stride=2
        )
        config.model.pyramid.update(channels=48, levels=3)
        config.model.head.update(convs=2, groups=8)
        config.optimizer.update(
            name="adamw",
            learning_rate=2e-3,
            schedule="cosine",
            step_fractions=(),
            warmup_steps=20,
            weight_decay=1e-4,
            clip_norm=1.0,
        )
    return config
