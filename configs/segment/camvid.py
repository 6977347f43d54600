"""Semantic segmentation of CamVid's street scenes, in the size of SegNet's authors."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """DeepLab v2 with a ResNet-101, or a thin network with the same head for minutes on a CPU.

        python -m ssljax.main --config segment/camvid --workdir DIR --config.init.workdir=ENCODER
        python -m ssljax.main --config segment/camvid:cpu --workdir DIR

    The set is TFDS-prepared as `camvid`: 367, 101 and 233 images of 240x180 pixels with masks of
    11 classes, 11 in the void. They stand in squares of 240, with black and void above and below.
    `--config.evals.test_split=validation` scores what settings are to be chosen by, and
    `--config.data.split='train[:50]'` leaves 50 masks. The thin variant takes 4 minutes on one
    core, benchmarks/RESULTS.md has its scores; the other has not been run to its end.

    Args:
      variant: "" for the numbers that are published for Pascal VOC, with an encoder from ENCODER;
        "cpu" for an untrained encoder of 32 to 64 channels, all of which learns. With
        `--config.method.train_encoder=false` its head alone does.
    """
    config = base_config("segment")
    config.batch_size = 10
    config.steps = 20_000
    config.data.update(
        name="camvid",
        image_size=240,
        resize="pad",
        mask_key="segmentation_mask",
        mask_classes=11,
        void=11,
        cache="device",
    )
    config.optimizer.update(
        name="sgd",
        learning_rate=2.5e-4,
        momentum=0.9,
        schedule="poly",
        power=0.9,
        poly_every=10,
        weight_decay=5e-4,
    )
    config.evals.update(final=("segmentation",), test_split="test")
    if variant == "cpu":
        config.batch_size = 8
        config.steps = 700
        config.method.update(
            train_norms=True,
            scales=(1.0,),
            sizes=(0.75, 1.0, 1.25),
            head_rate=1.0,
            head_bias_rate=1.0,
        )
        config.method.view.size = 160
        config.model.encoder.update(
            name="small", widths=(16, 32, 64), convs_per_stage=2, output_stride=4
        )
        config.model.head.rates = (1, 3, 6, 9)
        config.optimizer.update(
            name="adamw", learning_rate=3e-3, poly_every=1, weight_decay=1e-4, clip_norm=1.0
        )
    return config
