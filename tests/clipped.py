"""Small videos in folders of frames: a coloured square that moves over a coloured ground."""

import atexit
import functools
import pathlib
import shutil
import tempfile

import cv2
import numpy as np


def frames(rng, side, count):
    """A video, uint8 (count, side, side, 3)."""
    ground = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((side // 4, side // 4, 1)))
    paint, half = rng.integers(0, 256, 3), side // 2
    top, left = rng.integers(0, half, 2)
    video = np.repeat(ground[None], count, axis=0)
    for number, frame in enumerate(video):
        row, column = (top + 2 * number) % half, (left + 3 * number) % half
        frame[row : row + half, column : column + half] = paint
    return video.astype(np.uint8)


@functools.cache
def folder(side, videos=8, count=16):
    """Folders `train` and `test` of such videos, gone when this process ends."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="ssljax-clips-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for video in range(videos):
            place = root / split / "ab"[video % 2] / f"video{video}"  # Two classes.
            place.mkdir(parents=True)
            for number, frame in enumerate(frames(rng, side, count)):
                cv2.imwrite(str(place / f"{number:03d}.png"), frame[..., ::-1])
    return root
