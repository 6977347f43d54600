"""Gaussian filters over all pairs of points, exact, without a matrix of all pairs in memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.checks import check_positive

_ENTRIES = 1 << 22
"""Weights that are held at a time; 16 MiB in float32."""


class Separable(NamedTuple):
    """A Gaussian of the positions on a grid: one factor for the rows, one for the columns.

    Attributes:
      rows: Weights between rows, (height, height).
      columns: Weights between columns, (width, width).
    """

    rows: Float32[Array | np.ndarray, "height height"]
    columns: Float32[Array | np.ndarray, "width width"]


def separable_gaussian(height: int, width: int, sigma: float) -> Separable:
    """Makes the filter exp(-½‖p - q‖² / sigma²) of positions.

    Args:
      height: Rows of the grid.
      width: Columns of the grid.
      sigma: Standard deviation in pixels.

    Raises:
      ValueError: If `sigma` is not above 0.

    Example:
      >>> print(separable_gaussian(1, 2, 1.0).columns.round(3))
      [[1.    0.607]
       [0.607 1.   ]]
    """
    check_positive(sigma=sigma)

    def weights(count: int) -> Float32[np.ndarray, "count count"]:
        place = np.arange(count) / sigma
        return np.exp(-0.5 * (place[:, None] - place) ** 2).astype(np.float32)

    return Separable(weights(height), weights(width))


def filter_separable(
    kernel: Separable, values: Float[Array, "points channels"]
) -> Float[Array, "points channels"]:
    """Sums values of all pixels, weighted by a separable filter.

    Args:
      kernel: Of `separable_gaussian`.
      values: One row for each pixel, row of the grid by row of the grid.

    Returns:
      The sums, a pixel's own value included.

    Example:
      >>> import jax.numpy as jnp
      >>> import numpy as np
      >>> summed = filter_separable(separable_gaussian(1, 2, 1.0), jnp.ones((2, 1)))
      >>> print(np.asarray(summed).round(3))
      [[1.607]
       [1.607]]
    """
    grid = values.reshape(len(kernel.rows), len(kernel.columns), -1)
    summed = jnp.einsum(
        "ij,jkc,lk->ilc", kernel.rows, grid, kernel.columns, precision=lax.Precision.HIGHEST
    )
    return summed.reshape(values.shape)


def filter_pairs(
    features: Float[Array, "points dim"], values: Float[Array, "points channels"]
) -> Float[Array, "points channels"]:
    """Sums values of all points, weighted by exp(-½‖f - g‖²).

    The time grows with the square of the points: 10,000 points have 100 million pairs. The weights
    of a block of points are made, used and dropped; 16 MiB of them are held at a time.

    Args:
      features: The points, in units of the filter's standard deviation along each axis.
      values: One row for each point.

    Returns:
      The sums, a point's own value included.

    Example:
      >>> import jax.numpy as jnp
      >>> print(filter_pairs(jnp.array([[0.0], [9.0]]), jnp.array([[2.0], [1.0]])))
      [[2.]
       [1.]]
    """
    points, dim = features.shape
    block = max(1, min(points, _ENTRIES // points))
    padded = jnp.pad(features, ((0, -points % block), (0, 0)))

    def of_block(queries: Float[Array, "block dim"]) -> Float[Array, "block channels"]:
        # The square is taken of differences: what is left of large products would be inexact.
        squares = [(queries[:, axis, None] - features[None, :, axis]) ** 2 for axis in range(dim)]
        weights = jnp.exp(-0.5 * sum(squares[1:], squares[0]))
        return jnp.matmul(weights, values, precision=lax.Precision.HIGHEST)

    blocks = padded.reshape(-1, block, dim)
    return lax.map(jax.checkpoint(of_block), blocks).reshape(-1, values.shape[1])[:points]
