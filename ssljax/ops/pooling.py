"""Maps of any size brought to a grid: what layers of unlike size are compared on."""

from __future__ import annotations

import math
from typing import Literal

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Pooling = Literal["average", "max"]


def grid_of(height: int, width: int, channels: int, values: int) -> tuple[int, int]:
    """The largest square grid on which a map keeps at most so many values.

    Args:
      height: Places of the map from top to bottom.
      width: Places from left to right.
      channels: Values of a place.
      values: How many the grid may have; it has one place at least.

    Returns:
      Rows and columns, no more than the map has.

    Example:
      >>> [grid_of(56, 56, channels, 9600) for channels in (64, 256, 512, 1024, 2048)]
      [(12, 12), (6, 6), (4, 4), (3, 3), (2, 2)]

    Reference:
      Zhang et al., Colorful Image Colorization (arXiv:1603.08511), 2016, section 3.2: layers are
      pooled to about 9,000 values. With 9,600 these are the grids that its authors and RotNet's
      have for the layers of AlexNet, and Goyal et al. (arXiv:1905.01235) for those of a ResNet-50.
    """
    side = max(1, math.isqrt(values // channels))
    return min(height, side), min(width, side)


def adaptive_pool(
    x: Float[Array, "batch height width channels"],
    grid: tuple[int, int],
    how: Pooling = "average",
) -> Float[Array, "batch rows columns channels"]:
    """Pools a map to a grid of any size.

    Cell i of n covers the places from floor(i H / n) to ceil((i + 1) H / n), as in PyTorch's
    adaptive pooling: cells overlap where n does not divide H.

    Args:
      x: Maps.
      grid: Rows and columns, each at least 1 and no more than the map has.
      how: Whether a cell keeps the "average" or the "max" of its places.

    Returns:
      The cells.

    Raises:
      ValueError: If the grid is empty or finer than the map.

    Example:
      >>> import jax.numpy as jnp
      >>> print(adaptive_pool(jnp.arange(3.0).reshape(1, 1, 3, 1), (1, 2))[0, 0, :, 0])
      [0.5 1.5]
    """
    reduce = jnp.mean if how == "average" else jnp.max
    for axis, cells in enumerate(grid, start=1):
        places = x.shape[axis]
        if not 1 <= cells <= places:
            raise ValueError(f"A map of {x.shape[1:3]} places cannot be pooled to {grid}.")
        if cells < places:
            bounds = [(i * places // cells, -(-(i + 1) * places // cells)) for i in range(cells)]
            parts = [
                reduce(lax.slice_in_dim(x, start, stop, axis=axis), axis=axis)
                for start, stop in bounds
            ]
            x = jnp.stack(parts, axis=axis)
    return x
