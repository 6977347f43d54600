"""Small images with masks, in folders: a bright square of one of the classes on a darker ground."""

import atexit
import functools
import pathlib
import shutil
import tempfile

import cv2
import numpy as np

VOID = 255


def drawn(rng, height, width, classes):
    """An image, and a mask that is void along its upper edge."""
    mask = np.zeros((height, width), np.uint8)
    number = rng.integers(1, classes)
    side = min(height, width) // 2
    top, left = rng.integers(1, height - side), rng.integers(0, width - side)
    mask[top : top + side, left : left + side] = number
    levels = np.linspace(20, 220, classes)[mask][..., None]
    image = np.clip(levels + rng.integers(-15, 16, (height, width, 3)), 0, 255).astype(np.uint8)
    mask[0] = VOID
    return image, mask


def paint(directory, splits, size, classes):
    """Writes images and masks as PNG.

    Args:
      directory: Where.
      splits: How many images each has.
      size: (height, width) of the images.
      classes: How many there are, the ground included.

    Returns:
      The directory.
    """
    rng = np.random.default_rng(0)
    for split, count in splits.items():
        for number in range(count):
            image, mask = drawn(rng, *size, classes)
            for kind, pixels in (("images", image), ("masks", mask)):
                # Two folders of images are two classes of whole images.
                file = directory / split / kind / "ab"[number % 2] / f"{number:03d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), pixels)
    return directory


@functools.cache
def folder(side, classes, count=40):
    """A folder of squares that is gone when this process ends."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="ssljax-masked-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return paint(root, {"train": count, "test": 8}, (side, side), classes)
