"""Tiny runs of the toy CycleGAN on two folders of images, laid out as CycleGAN's own data."""

import contextlib

import cv2
import numpy as np
import pytest
import runs
from toys.cyclegan import CycleGAN

from ssljax import methods

CONFIG = """
from toys.cyclegan import CycleGAN

from ssljax import methods
from ssljax.config.base import base_config

methods.REGISTRY["toy"] = CycleGAN


def get_config():
    config = base_config("toy")
    config.data.update(name="folder", split="trainA", channels=1, resize="exact")
    config.method.paintings.split = "trainB"
    config.evals.update(batch_size=16)
    return config
"""
SIZES = {"trainA": 24, "trainB": 17, "testA": 20, "testB": 12}


@contextlib.contextmanager
def listed():
    """Puts the toy into the table for as long as it is needed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(methods.REGISTRY, "toy", CycleGAN)
        yield


def paint(directory, sizes=None, side=8):
    """Writes noise with a dark domain A and a bright domain B, directly in the splits' folders."""
    rng = np.random.default_rng(0)
    for split, count in (SIZES if sizes is None else sizes).items():
        (directory / split).mkdir(parents=True)
        least = 0 if split.endswith("A") else 100
        for number in range(count):
            image = rng.integers(least, least + 156, (side, side), np.uint8)
            cv2.imwrite(str(directory / split / f"{number:02d}.png"), image)
    return directory


def arguments(folder, images, name="run", **changes):
    """A command line of a tiny run, in a workdir in the folder."""
    file = folder / "toy.py"
    file.write_text(CONFIG)
    changes = {"data__dir": images, "batch_size": 8} | changes
    asked = runs.arguments(folder / name, file, **changes)
    return [option for option in asked if "model.encoder.widths" not in option]
