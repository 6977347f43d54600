"""Vectors of length 1."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32


def unit(vectors: Float[Array, "*batch dim"]) -> Float32[Array, "*batch dim"]:
    """Scales vectors to length 1, in float32.

    Args:
      vectors: Along the last axis, of any length: no square overflows or vanishes on the way.

    Returns:
      The unit vectors. The zero vector stays zero, and its gradient is 0.
    """
    vectors = vectors.astype(jnp.float32)
    # The result is the same for any factor, which so needs no gradient.
    largest = lax.stop_gradient(jnp.max(jnp.abs(vectors), axis=-1, keepdims=True))
    # Below the least normal number there is nothing to divide by: the vector counts as zero.
    some = largest >= float(jnp.finfo(jnp.float32).tiny)
    vectors = jnp.where(some, vectors / jnp.where(some, largest, 1.0), 0.0)
    square = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    return vectors * lax.rsqrt(jnp.where(some, square, 1.0))
