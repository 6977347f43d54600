"""How an image of any size is brought to the one size of a run, and masks and boxes with it."""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, Int32, UInt8

Resize = Literal["short_side", "exact", "pad", "none"]

RESIZES = ("short_side", "exact", "pad", "none")
_CHANNELS_AT_ONCE = 4
"""What OpenCV resizes in one call."""


class Placement(NamedTuple):
    """Which part of an image is seen, and where it lies in the result; whole pixels.

    Attributes:
      top, left, height, width: The part of the image.
      to_top, to_left, to_height, to_width: Its place in the result.
    """

    top: int
    left: int
    height: int
    width: int
    to_top: int
    to_left: int
    to_height: int
    to_width: int


def place(height: int, width: int, size: int, resize: Resize) -> Placement:
    """Places an image in a square.

    Args:
      height: Of the image, in pixels.
      width: Likewise.
      size: Side of the result, in pixels.
      resize: "short_side" cuts the centre square, so that the short side becomes `size`; "exact"
        resizes without regard to the aspect; "pad" makes the long side `size`, with what is left of
        the result on both sides of the short one; "none" wants the image to have that size already.

    Returns:
      The placement.

    Raises:
      ValueError: `resize` is "none" and the size differs, or it is unknown.
    """
    if resize == "short_side":
        side = min(height, width)
        return Placement((height - side) // 2, (width - side) // 2, side, side, 0, 0, size, size)
    if resize == "pad":
        longer = max(height, width)
        to_height, to_width = (max(1, round(side * size / longer)) for side in (height, width))
        top, left = (size - to_height) // 2, (size - to_width) // 2
        return Placement(0, 0, height, width, top, left, to_height, to_width)
    if resize not in RESIZES:
        raise ValueError(f"resize must be one of {RESIZES}, got {resize!r}")
    if resize == "none" and (height, width) != (size, size):
        raise ValueError(f"is {height}x{width} pixels, not {size}x{size}")
    return Placement(0, 0, height, width, 0, 0, size, size)


def fit_pixels(
    pixels: UInt8[np.ndarray, "height width channels"], placement: Placement, size: int
) -> UInt8[np.ndarray, "{size} {size} channels"]:
    """Brings pixels to their place; shrinking averages areas, enlarging is bilinear.

    Args:
      pixels: The image.
      placement: Of the image in the result.
      size: Side of the result, in pixels.

    Returns:
      The result, with 0 around the image.
    """
    seen = _seen(pixels, placement)
    fitted = resize_pixels(seen, placement.to_height, placement.to_width)
    return _pad(np.ascontiguousarray(fitted), placement, size, 0)


def fit_mask(
    mask: Int32[np.ndarray, "height width"], placement: Placement, size: int, void: int
) -> Int32[np.ndarray, "{size} {size}"]:
    """Brings a mask to where `fit_pixels` brings its image; each pixel has the nearest's value.

    Args:
      mask: The values.
      placement: Of the image in the result.
      size: Side of the result, in pixels.
      void: What stands around the image.

    Returns:
      The result.
    """
    rows = _nearest(placement.top, placement.height, placement.to_height)
    columns = _nearest(placement.left, placement.width, placement.to_width)
    return _pad(mask[rows[:, None], columns[None]], placement, size, void)


def fit_boxes(
    boxes: Float[np.ndarray, "boxes 4"], placement: Placement, size: int
) -> Float32[np.ndarray, "boxes 4"]:
    """Moves boxes to where `fit_pixels` brings what they hold.

    Args:
      boxes: (top, left, bottom, right) in pixels of the image.
      placement: Of the image in the result.
      size: Side of the result, in pixels.

    Returns:
      (top, left, bottom, right) in pixels of the result, cut off at its borders: a box that is not
      seen has no height or no width.
    """
    first = np.array([placement.top, placement.left] * 2)
    scale = np.array(
        [placement.to_height / placement.height, placement.to_width / placement.width] * 2
    )
    moved = (boxes - first) * scale + np.array([placement.to_top, placement.to_left] * 2)
    return np.clip(moved, 0, size).astype(np.float32)


def resize_pixels(
    pixels: UInt8[np.ndarray, "_height _width channels"],
    height: int,
    width: int,
    enlarging: int = cv2.INTER_LINEAR,
) -> UInt8[np.ndarray, "{height} {width} channels"]:
    """Resizes: first shrinks the sides that are too long, then enlarges the rest.

    OpenCV's area filter falls back to a poor one when any side grows, hence the two passes.

    Args:
      pixels: Pixels of any number of channels.
      height: Of the result, in pixels.
      width: Likewise.
      enlarging: OpenCV's filter for a side that grows.

    Returns:
      The pixels.
    """
    channels = pixels.shape[2]
    if channels > _CHANNELS_AT_ONCE:
        parts = [
            resize_pixels(pixels[:, :, i : i + _CHANNELS_AT_ONCE], height, width, enlarging)
            for i in range(0, channels, _CHANNELS_AT_ONCE)
        ]
        return np.concatenate(parts, axis=2)
    shrunk = (min(pixels.shape[0], height), min(pixels.shape[1], width))
    if shrunk != pixels.shape[:2]:
        pixels = cv2.resize(pixels, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if shrunk != (height, width):
        pixels = cv2.resize(pixels, (width, height), interpolation=enlarging)
    return pixels.reshape(height, width, channels)


def _seen(pixels: np.ndarray, placement: Placement) -> np.ndarray:
    top, left, height, width = placement[:4]
    return pixels[top : top + height, left : left + width]


def _nearest(start: int, length: int, size: int) -> Int[np.ndarray, "{size}"]:
    """The pixel under the centre of each pixel of the result."""
    return start + ((2 * np.arange(size) + 1) * length) // (2 * size)


def _pad(fitted: np.ndarray, placement: Placement, size: int, fill: int) -> np.ndarray:
    top, left, height, width = placement[4:]
    if (height, width) == (size, size):
        return fitted
    result = np.full((size, size, *fitted.shape[2:]), fill, fitted.dtype)
    result[top : top + height, left : left + width] = fitted
    return result
