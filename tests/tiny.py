"""Configs of the methods, made tiny: narrow networks on images of 32 pixels."""

import dataclasses
import pathlib

import boxed
import filmed
import masked
import tagged
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from ssljax import config as configs
from ssljax.augment import ViewPolicy
from ssljax.run.experiment import Experiment

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
SOURCES = {"bownet": "rotation", "distill": "finetune"}
"""Methods that start from a run of another one."""

TRANSLATORS = {"cyclegan": "mnist", "discogan": "mnist", "pix2pix": "facades"}
"""Methods that translate images, with the config that each is tested in."""

MASKED = {"motion_segmentation": "frames.py:cpu", "segment": "camvid.py:cpu"}
"""Methods that learn from masks, with the config that each is tested in."""

BOXED = {"detect": "bccd.py:cpu"}
"""The same of those that learn from boxes."""

TAGGED = {"multi_label": "bccd_tiles.py"}
"""The same of those that learn several classes an image."""

FILMED = {
    "shuffle_and_learn": "folder.py:cpu",
    "tracking": "folder.py:cpu",
    "video_colorization": "frames.py:cpu",
}
"""The same of those that learn from clips."""

BATCH, SIDE, NARROW, STEPS = 32, 32, 8, 4
SIZES = {
    "queue_size": 2 * BATCH,  # It has gone round before the last step.
    "prototypes": 12,
    "bn_groups": 4,  # With more, a group would have fewer images than there are devices.
    "local_crops": 1,
    "decoder_depth": 1,
    "decoder_widths": (4, 4),  # From the 8 pixels of the encoder's last map.
    "upscaler_channels": NARROW,
    "discriminator_steps": 2,
    "stable_kimg": 0.01,  # A step, as is the other.
    "fade_kimg": 0.01,
    "pool_size": 12,  # It is full before the first batch is through.
    "mask_size": 8,
    "slices": 8,
    "predictor_depth": 1,
    "patch_stride": 12,  # CPC's grid has three rows and columns, and
    "context_width": NARROW,
    "target_dim": 2,  # what all devices have of each place is small.
    "words": 12,
    "cluster_steps": 1,
    "points": 8,
    "head_layers": 1,
    "references": 1,
    "momentum": 0.5,  # At the published 0.99 a mistake in the order would hide in rounding.
}


def tiny_config(name: str, dtype: str = "float32") -> ConfigDict:
    """The method's config with narrow networks, small views, and nothing that waits for epochs."""
    path = CONFIGS / name / f"{TRANSLATORS.get(name, 'fashion_mnist')}.py"
    found = str(path) if path.exists() else f"{path.with_name('cifar10.py')}:cpu"
    own = MASKED | BOXED | TAGGED | FILMED
    if name in own:
        found = str(path.with_name(own[name]))
    config = config_flags.ConfigFileFlagParser("config").parse(found)
    with config.unlocked():
        config.update(batch_size=BATCH, steps=2 * STEPS)
        labels = 10.0 if config.data.labels else 0.0
        config.data.update(name="digits", split="train", image_size=SIDE, labels=labels)
        if name in MASKED:
            place = str(masked.folder(SIDE, classes=3))
            config.data.update(name="folder", dir=place, mask_classes=3, void=masked.VOID)
        if name in TAGGED:
            place = str(tagged.folder(8))
            config.data.update(name=tagged.NAME, dir=place, channels=3, **tagged.KEYS)
        if name in BOXED:
            config.data.update(name="folder", dir=str(boxed.folder(SIDE)), boxes_key="")
            config.data.update(annotations=boxed.ANNOTATIONS, box_classes=boxed.CLASSES)
            config.method.ranges = (8.0,)
            config.model.pyramid.update(channels=NARROW, finest=4, levels=2)
            config.model.head.update(convs=1, groups=2)
        if name in FILMED:
            place = str(filmed.folder(config.data.frames, SIDE, tracks=5))
            config.data.update(name="folder", dir=place, stride=1, hop=0, motion=0.0)
            if "references" in config.method:
                config.data.frames = 1 + SIZES["references"]
            if "crop" in config.method:
                config.method.update(crop=0, jitter=2, border=1, blur=())
                config.method.update(layer="features", pool=False)
        for role, network in config.model.items():
            network.dtype = dtype
            if role in ("head", "pyramid"):
                if "rates" in network:
                    network.rates = (1, 2)
                continue
            if role == "encoder":
                network.update(widths=(4, NARROW), convs_per_stage=1, patch_size=4)
                network.update(dim=NARROW, depth=1, heads=2)
                if network.name == "srresnet":
                    network.channels = NARROW
            else:
                network.width = 1 / 64
        # Gradients of one size in all methods, beside which rounding can be told by its size.
        config.optimizer.update(name="sgd", learning_rate=0.005, warmup_epochs=0.0, clip_norm=1.0)
        if "encoder" in config.model and "latent_dim" in config.method:
            config.method.latent_dim = NARROW // 2  # The encoder's whole last map becomes a code.
        config.optimizer.nesterov = False  # Its steps are not those of a buffer alone.
        shrink(config.method)
        if name == "cyclegan":
            config.model.generator.blocks = 1
        if name == "pix2pix":  # In its thinnest form it gives nearly the same of all images.
            config.model.generator.update(depth=2, width=1 / 8)
        if name == "bigan":  # Of perceptrons each weight is as large as an image.
            config.model.generator.name = config.model.discriminator.name = "bigan"
        if name == "bigbigan":  # As on ImageNet.
            config.method.update(encoder_rate=10.0, image_size=SIDE // 2)
            config.method.discriminator_steps = 1  # Its step is the largest of all as it is.
        if "domain_b" in config.method:
            config.method.domain_b.split = "test"
        if name in SOURCES:
            run = tiny_config(SOURCES[name], dtype)
            task = dataclasses.asdict(Experiment(run).task)
            del task["source"]
            config.init.update(workdir="elsewhere", step=1, run=run, task=task)
    configs.check(config)
    return config


def shrink(keys: ConfigDict) -> None:
    """Makes a method's own keys small, and those of each of its tasks."""
    for key, value in keys.items():
        if key in SIZES:
            keys[key] = SIZES[key]
        elif isinstance(value, ConfigDict) and "view" in key:
            view = ViewPolicy(SIDE // 2 if "local" in key else SIDE, crop_scale=(0.5, 1.0))
            if "jitter" in keys:  # Windows of frames, which are cut in another way.
                view = dataclasses.replace(view, size=SIDE - 8, crop_scale=None)
            if value.mean is not None:  # Some methods measure by the pixels' statistics.
                view = dataclasses.replace(view, mean=(0.5,), std=(0.25,))
            value.update(dataclasses.asdict(view))
        elif key == "bottleneck":
            keys[key] = min(value, NARROW // 2)
        elif key.endswith("_dim"):
            keys[key] = min(value, NARROW)
        elif key.endswith(("_epoch", "_epochs")):
            keys[key] = 0.0
        elif isinstance(value, ConfigDict):
            shrink(value)
