"""Learning to count: the tiles of an image hold together what the whole image holds."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.ops.floats import as_float32


def counting_distances(
    whole: Float[Array, "_ _"],
    tiles: Float[Array, "batch tiles dim"],
    other: Float[Array, "_ _"],
) -> tuple[Float32[Array, " batch"], Float32[Array, " batch"]]:
    """How far the counts of the tiles, summed, are from those of two whole images.

    Args:
      whole: Counts phi(D x) of each image, made as small as a tile.
      tiles: Counts phi(T_j x) of its tiles.
      other: Counts phi(D y) of another image, made as small.

    Returns:
      |phi(D x) - sum phi(T_j x)|^2 and |phi(D y) - sum phi(T_j x)|^2.

    Raises:
      ValueError: If the shapes do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> whole, tiles, other = jnp.array([[4.0]]), jnp.ones((1, 4, 1)), jnp.array([[1.0]])
      >>> own, others = counting_distances(whole, tiles, other)
      >>> print(own, others)
      [0.] [9.]
    """
    batch, _, dim = tiles.shape
    if whole.shape != (batch, dim) or other.shape != (batch, dim):
        raise ValueError(
            f"Counts of whole images are {whole.shape} and {other.shape}, and of tiles "
            f"{tiles.shape}: they must be (batch, dim), (batch, dim) and (batch, tiles, dim)."
        )
    total = jnp.sum(as_float32(tiles), axis=1)
    own, others = (jnp.sum(jnp.square(as_float32(x) - total), axis=1) for x in (whole, other))
    return own, others


def counting_loss(
    whole: Float[Array, "batch dim"],
    tiles: Float[Array, "batch tiles dim"],
    other: Float[Array, "batch dim"],
    margin: float = 10.0,
) -> Float32[Array, ""]:
    """Draws the counts of an image to the sum over its tiles, and those of another one away.

    The hinge is on the whole squared distance: one for each dimension does not converge.

    Args:
      whole: As for `counting_distances`; so too the next two.
      tiles: Likewise.
      other: Likewise.
      margin: The squared distance M from which on the other image is far enough.

    Returns:
      Mean over images. With each image once as the other one of its partner, it is the mean of the
      loss's two directions.

    Raises:
      ValueError: If the shapes do not fit.

    Reference:
      Noroozi, Pirsiavash and Favaro, Representation Learning by Learning to Count, 2017, eq. 7.

    Example:
      >>> import jax.numpy as jnp
      >>> counts = jnp.array([[1.0, 3.0]])
      >>> print(counting_loss(counts, jnp.array([[[1.0, 1.0], [0.0, 2.0]]]), counts + 2.0))
      2.0
    """
    own, others = counting_distances(whole, tiles, other)
    return jnp.mean(own + jax.nn.relu(margin - others))
