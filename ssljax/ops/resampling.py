"""Maps made larger or smaller by whole factors."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped


def box_down(
    x: Float[Array, "batch height width channels"], factor: int
) -> Float[Array, "batch out_height out_width channels"]:
    """Makes maps smaller by means over squares.

    Args:
      x: Maps, whose sides are multiples of the factor.
      factor: By which both sides shrink, from 1.

    Returns:
      The small maps.

    Raises:
      ValueError: If a side is no multiple of the factor.

    Example:
      >>> import jax.numpy as jnp
      >>> print(box_down(jnp.arange(4.0).reshape(1, 2, 2, 1), 2)[0, :, :, 0])
      [[1.5]]
    """
    batch, height, width, channels = x.shape
    if factor < 1 or height % factor or width % factor:
        raise ValueError(f"Maps of {height}x{width} places do not shrink by {factor}.")
    if factor == 1:
        return x
    squares = x.reshape(batch, height // factor, factor, width // factor, factor, channels)
    return jnp.mean(squares, axis=(2, 4))


def nearest_up(
    x: Float[Array, "batch height width channels"], factor: int
) -> Float[Array, "batch out_height out_width channels"]:
    """Makes maps larger by repeating each place.

    Args:
      x: Maps.
      factor: By which both sides grow, from 1.

    Returns:
      The large maps, in which every place is a square.

    Example:
      >>> import jax.numpy as jnp
      >>> print(nearest_up(jnp.arange(2.0).reshape(1, 1, 2, 1), 2)[0, :, :, 0])
      [[0. 0. 1. 1.]
       [0. 0. 1. 1.]]
    """
    return jnp.repeat(jnp.repeat(x, factor, axis=1), factor, axis=2)


def nearest(
    x: Shaped[Array, "batch _height _width *channels"], height: int, width: int
) -> Shaped[Array, "batch {height} {width} *channels"]:
    """Resizes maps by taking the place under the centre of each place of the result, as Pillow.

    Args:
      x: Maps, such as masks, of any type.
      height: Rows of the result.
      width: Its columns.

    Returns:
      The maps.

    Example:
      >>> import jax.numpy as jnp
      >>> print(nearest(jnp.arange(5)[None, None], 1, 2))
      [[[1 3]]]
    """
    rows, columns = (
        ((2 * np.arange(size) + 1) * length) // (2 * size)
        for size, length in zip((height, width), x.shape[1:3], strict=True)
    )
    return x[:, rows[:, None], columns[None]]
