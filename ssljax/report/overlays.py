"""Classes of pixels and of boxes as colours over an image."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

_BITS = 8


def class_colors(count: int) -> UInt8[np.ndarray, "{count} 3"]:
    """Colours that differ, in the order of Pascal VOC's but for its black first one.

    The three lowest bits of a number are the highest of red, green and blue, the next three the
    second highest, and so on. The first class has the colour of the number 1, dark red.

    Args:
      count: How many.

    Reference:
      Everingham et al., The Pascal Visual Object Classes Challenge: `VOClabelcolormap.m` of its
      development kit.
    """
    numbers = np.arange(1, count + 1)
    colors = np.zeros((count, 3), np.uint8)
    for bit in range(_BITS):
        for channel in range(3):
            is_set = (numbers >> (3 * bit + channel)) & 1
            colors[:, channel] |= (is_set << (_BITS - 1 - bit)).astype(np.uint8)
    return colors


def overlaid(
    images: UInt8[np.ndarray, "count height width channels"],
    masks: Int[np.ndarray, "count height width"],
    num_classes: int,
    opacity: float = 0.6,
) -> UInt8[np.ndarray, "count height width 3"]:
    """Lays the colour of each pixel's class over the image.

    Args:
      images: Of 1 or 3 channels.
      masks: Classes from 0; -1 where the image shows as it is.
      num_classes: How many classes there are.
      opacity: Share of the colour, in [0, 1].

    Returns:
      The pictures.
    """
    pixels = np.broadcast_to(images, (*masks.shape, 3)).astype(np.float32)
    colors = class_colors(num_classes)[np.maximum(masks, 0)]
    mixed = (1 - opacity) * pixels + opacity * colors
    return np.where(masks[..., None] < 0, pixels, np.round(mixed)).astype(np.uint8)


def boxed(
    image: UInt8[np.ndarray, "height width channels"],
    boxes: Float[np.ndarray, "boxes 4"],
    classes: Int[np.ndarray, " boxes"],
    num_classes: int,
    factor: int = 1,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Draws boxes on an image, in the colour of their class.

    Args:
      image: Of 1 or 3 channels.
      boxes: (top, left, bottom, right) in its pixels; the last is drawn on top.
      classes: Of the boxes, from 0.
      num_classes: How many classes there are.
      factor: By which the picture is larger than the image.

    Returns:
      The picture; a line is two pixels wide, or one where it is as large as the image.
    """
    height, width = image.shape[:2]
    whole = np.ascontiguousarray(np.broadcast_to(image, (height, width, 3)))
    size = width * factor, height * factor
    picture = (
        cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR) if factor > 1 else whole.copy()
    )
    # Dark colours would be lost in dark images.
    bright = class_colors(num_classes).astype(np.float32)
    bright *= 255 / bright.max(axis=1, keepdims=True)
    for box, kind in zip(np.round(boxes * factor).astype(int), classes, strict=True):
        top, left, bottom, right = box.tolist()
        color = tuple(int(x) for x in bright[kind])
        corner = max(left, right - 1), max(top, bottom - 1)
        cv2.rectangle(picture, (left, top), corner, color, min(2, factor))
    return picture
