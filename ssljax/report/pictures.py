"""Pictures of many images, and their files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from ssljax import paths

Picture = UInt8[np.ndarray, "rows columns channels"]
_WHITE = 255


def grid(
    images: UInt8[np.ndarray, "count height width channels"], columns: int, gap: int = 1
) -> Picture:
    """Lays images out in rows, from left to right.

    Args:
      images: At least one.
      columns: Images in a row; free places in the last row are white.
      gap: Width in pixels of the white lines between images.

    Returns:
      The picture, without a border.
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    padding = [(0, rows * columns - count), (0, gap), (0, gap), (0, 0)]
    cells = np.pad(images, padding, constant_values=_WHITE)
    table = cells.reshape(rows, columns, height + gap, width + gap, channels)
    picture = table.swapaxes(1, 2).reshape(rows * (height + gap), -1, channels)
    return picture[: picture.shape[0] - gap, : picture.shape[1] - gap]


def beside(pictures: Sequence[UInt8[np.ndarray, "_ _ channels"]], gap: int = 8) -> Picture:
    """Puts pictures side by side, with white between them and below the shorter ones.

    Args:
      pictures: From left to right.
      gap: Width of the white, in pixels.
    """
    height, channels = max(len(picture) for picture in pictures), pictures[0].shape[-1]
    white = np.full((height, gap, channels), _WHITE, np.uint8)
    padded = [
        np.pad(picture, [(0, height - len(picture)), (0, 0), (0, 0)], constant_values=_WHITE)
        for picture in pictures
    ]
    parts = [part for picture in padded for part in (white, picture)]
    return np.concatenate(parts[1:], axis=1)


def encode_png(picture: Picture) -> bytes:
    """Encodes a picture of 1, 3 (red, green, blue) or 4 channels (and alpha), without loss."""
    # OpenCV's channels are blue, green, red, alpha.
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[picture.shape[2]]
    return cv2.imencode(".png", np.ascontiguousarray(picture[..., order]))[1].tobytes()


def save_pictures(
    directory: paths.Path, step: int, pictures: Mapping[str, Picture]
) -> dict[str, bytes]:
    """Writes pictures as `<name>_<step>.png`.

    Args:
      directory: Made where it is missing.
      step: Finished train steps.
      pictures: By name.

    Returns:
      The contents of the files, by name.
    """
    files = {name: encode_png(picture) for name, picture in pictures.items()}
    paths.make_directory(directory)
    for name, png in files.items():
        (directory / f"{name}_{step}.png").write_bytes(png)
    return files


def save_notes(directory: paths.Path, step: int, notes: Mapping[str, Any]) -> None:
    """Writes what belongs to pictures and is none as `<name>_<step>.json`.

    Args:
      directory: Made where it is missing.
      step: Finished train steps.
      notes: By name, what JSON can hold.
    """
    paths.make_directory(directory)
    for name, note in notes.items():
        paths.write(directory / f"{name}_{step}.json", json.dumps(note) + "\n")
