"""The keys that every config has, and their defaults."""

from __future__ import annotations

import dataclasses
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from ssljax import evals, methods, optimizers


def base_config(method: str) -> ConfigDict:
    """The config that every config file starts from.

    Args:
      method: Name of a method; its own keys stand under `method`.

    Returns:
      A config with every key that the command line accepts, at its default.
    """
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 256
    config.steps = 0  # Train steps, each of one update; 0 means by epochs.
    config.epochs = 100.0
    config.data = ConfigDict(
        dict(
            name="",  # A TFDS name, "folder", or the name of a prepared directory in `dir`.
            dir="",  # Empty: TFDS_DATA_DIR.
            split="train",
            cache="none",  # "device": the whole set lies on the devices.
            # "host": views are cut from whole images there; "device": from images of image_size.
            crop="device",
            image_size=32,
            channels=3,
            range=(),  # The numbers that are black and white; empty: by the images' type.
            resize="short_side",  # "short_side", "exact", "pad" or "none".
            image_key="",
            label_key="",
            multi_label_key="",  # TFDS features that are read as well, where they are named.
            doubtful_key="",  # Beside the above: classes that are not surely absent.
            mask_key="",
            boxes_key="",
            # A file in COCO's format with the boxes of a folder; "{split}" is the split's name.
            annotations="",
            void=255,  # The number of a mask's pixels that belong to no class.
            mask_classes=0,  # Classes of masks, numbered from 0; 0: any number.
            box_classes=0,  # Classes of boxes, likewise.
            max_boxes=100,  # Boxes that an image may have.
            frames=0,  # Above 0, records are clips of so many frames of videos.
            stride=1,  # Frames of the video from one of a clip to the next.
            hop=0,  # Frames from the start of a clip to that of the next; 0: none overlap.
            motion=0.0,  # The part of the clips that is kept, where most moves; 0: all.
            clip_key="",  # The TFDS feature that tells of which video a frame is.
            time_key="",  # And the one that tells when it was.
            labels=0.0,  # Labels a class that are known; below 1, a fraction of them; 0: all.
            labels_seed=0,  # Seed of the draw of those labels.
            threads=0,  # Of the host, to read and decode; 0: one per core, at most 16.
            prefetch=2,  # Batches placed on the devices ahead of the step.
            max_corrupt=0,  # Images or videos that may be unreadable before the run stops.
        )
    )
    config.init = ConfigDict(
        dict(
            workdir="",  # That of a run to start from.
            step=0,  # Of its checkpoint; 0: its newest.
        )
    )
    # A file of published weights that the encoder starts with, in place of a run's: safetensors,
    # or PyTorch's where that is installed, as `ssljax.models.weights.find_encoder` knows them.
    config.pretrained = ConfigDict(dict(weights=""))
    # Keys that may have changed when a run is resumed; "data": the data set's content.
    config.resume = ConfigDict(dict(accept=()))
    config.method = methods.default_config(method)
    config.model = methods.default_model(method)
    config.optimizer = ConfigDict(
        dataclasses.asdict(optimizers.Settings(name="sgd", learning_rate=0.3))
    )
    config.evals = evals.default_config(methods.REGISTRY[method])
    config.samples = ConfigDict(dict(count=64))  # Images that --mode=sample writes.
    config.translate = ConfigDict(
        dict(
            dir="",  # The folder that --mode=translate reads.
            way="",  # From which domain to which; empty: the method's first.
        )
    )
    config.embed = ConfigDict(
        dict(
            dir="",  # The folder that --mode=embed reads.
            stage="",  # The layer whose features it writes; empty: the first of evals.stages.
            projection="tsne",  # How it draws a map of them: "tsne" or "pca".
        )
    )
    config.export = ConfigDict(
        dict(
            # What --mode=export writes: "timm", "torchvision", "stablehlo" or "onnx".
            format="timm",
            dir="",  # Where; empty: export/FORMAT in the workdir.
            push="",  # USER/NAME on the Hugging Face Hub, where it is pushed if one is named.
            private=True,  # Whether what is pushed is seen by its owner alone.
        )
    )
    config.mesh = ConfigDict(
        dict(
            data=-1,  # Devices over which batches alone are split; -1: all that are left.
            fsdp=1,  # Devices over which parameters are split as well.
        )
    )
    config.log = ConfigDict(
        dict(
            every=50,  # Train steps between two lines of metrics.jsonl.
            tensorboard=True,  # Whether TensorBoard's files are written as well.
            wandb="",  # A project of Weights & Biases; empty: none.
            report=True,  # Whether the end of a training writes report.html, which shows the run.
        )
    )
    config.checkpoint = ConfigDict(
        dict(
            every=1000,  # Train steps between two checkpoints.
            keep=2,  # How many of the newest stay.
            best="",  # A score by which the best checkpoint stays as well; empty: none.
        )
    )
    return config


def flatten(config: ConfigDict) -> dict[str, Any]:
    """Returns every value of a config by its dotted key."""
    flat: dict[str, Any] = flatten_dict(config.to_dict(), sep=".")
    return flat
