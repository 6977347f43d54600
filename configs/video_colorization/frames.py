"""Video colorization on a small folder of videos."""

from typing import Literal

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config(variant: Literal["", "cpu"] = "") -> ConfigDict:
    """ResNet-18 on frames of 160 pixels, or a thin network on 96, for minutes on one CPU core.

        python -m ssljax.main --config video_colorization/frames --workdir DIR \
            --config.data.dir=VIDEOS
        python -m ssljax.main --config video_colorization/frames:cpu --workdir DIR \
            --config.data.dir=VIDEOS

    VIDEOS/train and VIDEOS/test hold videos, or a folder of frames for each, of about 25 frames a
    second, of which every fourth is seen. Clips are cut and mirrored at random, which the paper
    does not say of its own; length and rate are our choice.

    Args:
      variant: "" for accelerators; "cpu" for a thin network and, as in ports of the method, no 3-D
        convolutions, which would tell each place where it is.
    """
    config = base_config("video_colorization")
    config.batch_size = 32
    config.steps = 20_000
    config.data.update(name="folder", frames=4, stride=4, hop=4)
    config.data.update(image_size=192, resize="exact")
    config.method.view.update(size=160, crop_scale=(0.4, 1.0), flip_p=0.5)
    config.model.encoder.update(name="resnet18", dtype="bfloat16")
    config.optimizer.update(
        name="adam", learning_rate=1e-3, schedule="cosine", warmup_steps=50, clip_norm=1.0
    )
    config.evals.update(final=("pretext",), batch_size=16)
    if variant == "cpu":
        config.batch_size = 16
        config.steps = 800
        config.data.update(image_size=128, cache="device")
        config.method.update(cluster_steps=16, embedding_dim=32, head_layers=0)
        config.method.view.size = 96
        config.model.encoder.update(
            name="small",
            widths=(16, 32, 64),
            convs_per_stage=2,
            output_stride=0,
            dtype="float32",
        )
    return config
