"""Small videos in folders of frames: bright squares that move on a ground of their own."""

import atexit
import functools
import pathlib
import shutil
import tempfile

import cv2
import numpy as np

SPLITS = {"train": 8, "test": 3}
"""How many videos each has."""


def film(rng, frames, side):
    """Frames of a video; a square of an eighth of the side moves by a pixel or two a frame."""
    ground = rng.integers(30, 160, (4, 4, 3), dtype=np.uint8)
    ground = np.kron(ground, np.ones((side // 4, side // 4, 1), np.uint8))
    small = side // 8
    start, step = rng.integers(0, side // 4, 2), rng.integers(1, 3, 2)
    shown = []
    for number in range(frames):
        top, left = np.minimum(start + number * step, side - small)
        frame = ground.copy()
        frame[top : top + small, left : left + small] = 250
        shown.append(frame)
    return shown


def record(directory, frames, side, tracks, splits=SPLITS):
    """Writes videos as PNG.

    Args:
      directory: Where.
      frames: Of each video.
      side: Of the frames, in pixels.
      tracks: Folders of each video, with so many frames each.
      splits: How many videos each split has.

    Returns:
      The directory.
    """
    rng = np.random.default_rng(0)
    for split, count in splits.items():
        for video in range(count):
            for track in range(tracks):
                folder = directory / split / f"video{video}" / f"track{track}"
                folder.mkdir(parents=True)
                for number, frame in enumerate(film(rng, frames, side)):
                    cv2.imwrite(str(folder / f"{number}.png"), frame)
    return directory


@functools.cache
def folder(frames, side, tracks):
    """A folder of videos that is gone when this process ends."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="ssljax-filmed-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return record(root, frames, side, tracks)
