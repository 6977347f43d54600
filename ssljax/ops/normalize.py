"""Lengths of vectors, and vectors of length 1, at any scale."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.floats import as_float32


def l2_norm(vectors: Float[Array, "*batch dim"]) -> Float[Array, "*batch"]:
    """Length of each vector; the gradient at the zero vector is 0.

    Args:
      vectors: Vectors along the last axis, of any length, in float32 or float64.

    Returns:
      The lengths: no square overflows or vanishes on the way. A vector with an entry that is not
      finite has the length NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l2_norm(jnp.array([[3e-30, 4e-30], [0.0, 0.0]])))
      [5.e-30 0.e+00]
    """
    scaled, scale = _scaled(vectors)
    square = jnp.sum(jnp.square(scaled), axis=-1)
    zero = square == 0
    # A root has no finite slope at 0, so the root of 1 is taken there and the result discarded.
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)) * scale[..., 0])


def l2_normalize(vectors: Float[Array, "*batch dim"]) -> Float32[Array, "*batch dim"]:
    """Scales each vector to unit length, in float32.

    Args:
      vectors: Vectors along the last axis, of any floating type and any length.

    Returns:
      Unit vectors of the same shape. The zero vector stays zero, and its gradient is 0. A vector
      with an entry that is not finite has no direction: all of its entries are NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> print(l2_normalize(jnp.array([[3.0, 4.0], [0.0, 0.0]])))
      [[0.6 0.8]
       [0.  0. ]]
    """
    scaled, _ = _scaled(as_float32(vectors))
    square = jnp.sum(jnp.square(scaled), axis=-1, keepdims=True)
    zero = square == 0
    return jnp.where(zero, 0.0, scaled * lax.rsqrt(jnp.where(zero, 1.0, square)))


def _scaled(
    vectors: Float[Array, "*batch dim"],
) -> tuple[Float[Array, "*batch dim"], Float[Array, "*batch 1"]]:
    """Vectors whose largest entry is 1, and the factor that was taken out of each.

    What is computed from the two does not depend on the factor, so the factor needs no gradient.
    """
    largest = lax.stop_gradient(jnp.max(jnp.abs(vectors), axis=-1, keepdims=True))
    # Below the least normal number there is nothing to divide by: the vector counts as zero. The
    # comparison is false for NaN, which therefore stays NaN.
    scale = jnp.where(largest < float(jnp.finfo(vectors.dtype).tiny), 1.0, largest)
    return vectors / scale, scale
