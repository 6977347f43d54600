"""Inner products, cosines and distances of rows, at the highest precision."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.checks import check_same_shape
from ssljax.ops.normalize import l2_normalize


def inner_products(
    left: Float[Array, "left dim"], right: Float[Array, "right dim"]
) -> Float[Array, "left right"]:
    """Inner product of every row of `left` with every row of `right`.

    The product runs at the highest precision: a similarity is divided by a temperature as small as
    0.07, and the default precision of an accelerator keeps only eight to ten of its bits, which
    would also reorder close neighbours.

    Args:
      left: Vectors.
      right: Vectors of the same dimension.

    Returns:
      The products, of the vectors' type.

    Example:
      >>> import jax.numpy as jnp
      >>> print(inner_products(jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 0.0], [0.0, 4.0]])))
      [[3. 8.]]
    """
    return jnp.matmul(left, right.T, precision=lax.Precision.HIGHEST)


def squared_distances(
    left: Float[Array, "left dim"], right: Float[Array, "right dim"]
) -> Float[Array, "left right"]:
    """Squared distance of every row of `left` to every row of `right`.

    Args:
      left: Vectors.
      right: Vectors of the same dimension.

    Returns:
      The distances, 0 or more. They come from lengths and inner products, so that what is small
      beside the lengths is lost to rounding.

    Example:
      >>> import jax.numpy as jnp
      >>> print(squared_distances(jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 0.0], [0.0, 2.0]])))
      [[4. 1.]]
    """
    lengths = jnp.sum(jnp.square(left), axis=1)[:, None]
    others = jnp.sum(jnp.square(right), axis=1)[None]
    return jnp.maximum(lengths + others - 2.0 * inner_products(left, right), 0.0)


def cosine_similarity_matrix(
    left: Float[Array, "left dim"], right: Float[Array, "right dim"]
) -> Float32[Array, "left right"]:
    """Cosine of the angle between every row of `left` and every row of `right`.

    Args:
      left: Vectors, not necessarily normalised.
      right: Vectors, not necessarily normalised.

    Returns:
      Similarities in [-1, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[0.0, 1.0], [3.0, 0.0]])
      >>> print(cosine_similarity_matrix(x[1:], x))
      [[0. 1.]]
    """
    return inner_products(l2_normalize(left), l2_normalize(right))


def paired_cosine_similarity(
    left: Float[Array, "batch dim"], right: Float[Array, "batch dim"]
) -> Float32[Array, "batch"]:
    """Cosine of the angle between rows with the same index.

    Args:
      left: Vectors, not necessarily normalised.
      right: Vectors, not necessarily normalised.

    Returns:
      One similarity in [-1, 1] per row.

    Raises:
      ValueError: If the shapes differ.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[2.0, 0.0], [1.0, 0.0]])
      >>> print(paired_cosine_similarity(x, jnp.array([[1.0, 0.0], [0.0, 5.0]])))
      [1. 0.]
    """
    check_same_shape(left=left, right=right)
    return jnp.sum(l2_normalize(left) * l2_normalize(right), axis=-1)
