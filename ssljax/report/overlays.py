"""Classes of pixels as colours over an image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, UInt8

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
