"""Which patches of an image are hidden. Masks depend on a key and an example's place alone.

The mask of example i is the same whatever the size of the batch and however it lies over devices.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray


def unit_masks(
    key: PRNGKeyArray, batch: int, grid: tuple[int, int], unit: int, mask_ratio: float
) -> Bool[Array, "batch patches"]:
    """Hides squares of patches at random, the same number in every example.

    Args:
      key: Random key.
      batch: Number of examples in the global batch.
      grid: Rows and columns of patches; multiples of `unit`.
      unit: Side of a square in patches.
      mask_ratio: Share of squares to hide, in (0, 1); their number is rounded up.

    Returns:
      True where a patch is hidden, row by row of the image.

    Raises:
      ValueError: If squares do not fill the grid, or all or none would be hidden.

    Reference:
      Xie et al., SimMIM: a Simple Framework for Masked Image Modeling, 2022, section 3.2.

    Example:
      >>> import jax
      >>> mask = unit_masks(jax.random.key(0), 2, (4, 4), 2, 0.5)
      >>> print(mask.reshape(2, 2, 2, 2, 2).all((2, 4)).sum((1, 2)))
      [2 2]
    """
    if unit < 1 or grid[0] % unit or grid[1] % unit:
        raise ValueError(
            f"{grid[0]}x{grid[1]} patches cannot be hidden in squares of {unit}x{unit}: give "
            "squares that fill the view."
        )
    rows, columns = grid[0] // unit, grid[1] // unit
    hidden = math.ceil(rows * columns * mask_ratio)
    if not 0 < hidden < rows * columns:
        raise ValueError(
            f"A mask ratio of {mask_ratio} hides {hidden} of {rows * columns} squares; at least "
            "one must be hidden and one visible."
        )

    def mask(key: PRNGKeyArray) -> Bool[Array, " patches"]:
        rank = jnp.argsort(jnp.argsort(jax.random.uniform(key, (rows * columns,))))
        squares = (rank < hidden).reshape(rows, columns)
        return jnp.repeat(jnp.repeat(squares, unit, axis=0), unit, axis=1).reshape(-1)

    return _for_each(mask, key, batch)


def _for_each(make: Callable[..., Array], key: PRNGKeyArray, batch: int, *arrays: Array) -> Array:
    """Gives each example a key of its own, by its place, and its row of the arrays."""
    keys = jax.vmap(lambda example: jax.random.fold_in(key, example))(jnp.arange(batch))
    made: Array = jax.vmap(make)(keys, *arrays)
    return made
