"""SimCLR on CamVid's street scenes, without their masks."""

from ml_collections import ConfigDict

from ssljax.augment import presets
from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """A thin encoder of streets, which `segment/camvid:cpu` can start from, for minutes on a CPU.

        python -m ssljax.main --config simclr/camvid --workdir DIR

    The set is that of `segment/camvid`, of which 367 images are learnt from; they are brought to
    squares without black borders, by which crops of one image could be told. At the end a linear
    classifier of the places of each map learns from the masks, beside the raw pixels and the random
    network. benchmarks/RESULTS.md has the scores of one run: 180 steps are few for SimCLR.
    """
    config = base_config("simclr")
    config.batch_size = 64
    config.steps = 180
    config.data.update(
        name="camvid",
        image_size=192,
        resize="exact",
        mask_key="segmentation_mask",
        mask_classes=11,
        void=11,
        cache="device",
    )
    config.method.temperature = 0.2
    config.method.view.update(
        size=96,
        crop_scale=(0.2, 1.0),
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        blur_p=0.0,
        mean=presets.IMAGENET_MEAN,
        std=presets.IMAGENET_STD,
    )
    config.model.encoder.update(name="small", widths=(16, 32, 64), convs_per_stage=2)
    config.optimizer.update(
        name="adamw", learning_rate=2e-3, warmup_steps=20, weight_decay=1e-4, clip_norm=1.0
    )
    config.evals.update(final=("linear_segmentation",), test_split="test")
    config.evals.linear_segmentation.update(
        steps=300, batch_size=8, learning_rate=0.01, warmup_steps=20, sizes=(0.75, 1.0, 1.25)
    )
    return config
