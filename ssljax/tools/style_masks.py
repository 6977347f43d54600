"""Segments of an image by the colours of a painted mask, and at the layers of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, UInt8

from ssljax.errors import UserError

COLORS: Mapping[str, tuple[float, float, float]] = {
    "blue": (0, 0, 1),
    "green": (0, 1, 0),
    "black": (0, 0, 0),
    "white": (1, 1, 1),
    "red": (1, 0, 0),
    "yellow": (1, 1, 0),
    "grey": (0.5, 0.5, 0.5),
    "lightblue": (0, 1, 1),
    "purple": (1, 0, 1),
}
"""Of luanfujun/deep-photo-styletransfer; each channel may be off by a tenth."""
_OFF, _WHITE = 0.1, 255

Segments = Float[Array, "_ _ _"]
"""(segments, height, width)."""


def read_segments(
    content: UInt8[np.ndarray, "_ _ 3"],
    style: UInt8[np.ndarray, "_ _ 3"],
    names: tuple[str, str],
) -> dict[str, tuple[Bool[np.ndarray, "_ _"], Bool[np.ndarray, "_ _"]]]:
    """Finds the segments that both images have.

    Args:
      content: The painted segments of the content image; pixels of none of the colours, such as
        soft edges, belong to no segment.
      style: Those of the style image.
      names: What the two are called when they are told about.

    Returns:
      By colour the pixels of the content's segment and of the style's.

    Raises:
      UserError: If they have no colour in common.
    """
    found = [
        {name: pixels for name, color in COLORS.items() if (pixels := _painted(mask, color)).any()}
        for mask in (content, style)
    ]
    common = {
        name: (pixels, found[1][name]) for name, pixels in found[0].items() if name in found[1]
    }
    if not common:
        told = " and ".join(
            f"{name} has {', '.join(colors) or 'none'}"
            for name, colors in zip(names, found, strict=True)
        )
        raise UserError(
            f"The masks have no colour in common ({told}): paint what belongs together alike, in "
            f"{', '.join(COLORS)}."
        )
    return common


def _painted(
    mask: UInt8[np.ndarray, "height width 3"], color: Sequence[float]
) -> Bool[np.ndarray, "height width"]:
    return np.all(np.abs(mask / _WHITE - np.asarray(color)) < _OFF, axis=2)


def at_maps(masks: Segments, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Segments]:
    """Brings segments to the sizes of maps, by means over the pixels of a place.

    Args:
      masks: In [0, 1], at the size of the image.
      sizes: Rows and columns of the maps, by name.

    Returns:
      The segments by the name of the map.
    """
    return {name: _resized(masks, size) for name, size in sizes.items()}


def at_vgg_layers(masks: Segments, convolutions: Sequence[int]) -> dict[str, Segments]:
    """Takes segments along through the layers of a VGG, as the authors do.

    Where the network has a convolution of 3 x 3, segments are averaged over as many places, with
    zeros around the image; where it has a pool, they are halved. An odd size is rounded down, as by
    our pools, and up in their code; they tell colours after images are shrunk, and here colours are
    told first, so that borders are soft.

    Args:
      masks: In [0, 1], at the size of the image.
      convolutions: Of each stage.

    Returns:
      The segments at `relu1_1`, `relu1_2` and so on.
    """
    found = {}
    for stage, count in enumerate(convolutions, start=1):
        if stage > 1:
            masks = _resized(masks, (masks.shape[1] // 2, masks.shape[2] // 2))
        for number in range(1, count + 1):
            summed = lax.reduce_window(
                masks, jnp.zeros((), masks.dtype), lax.add, (1, 3, 3), (1, 1, 1), "SAME"
            )
            masks = summed / 9
            found[f"relu{stage}_{number}"] = masks
    return found


def _resized(masks: Segments, size: tuple[int, int]) -> Segments:
    return jax.image.resize(masks, (len(masks), *size), "linear")
