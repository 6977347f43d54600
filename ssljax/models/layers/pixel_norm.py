"""Normalisation of each place's channels, without parameters."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = 1e-8


def pixel_norm(x: Float[Array, "*places channels"]) -> Float[Array, "*places channels"]:
    """Scales the channels of each place to a mean square of 1.

    Args:
      x: Maps, or latent vectors, which are brought to a hypersphere.

    Returns:
      x / sqrt(mean of x ** 2 over the channels + 1e-8), computed in float32 and of the type of x.

    Reference:
      Karras et al., Progressive Growing of GANs (arXiv:1710.10196), 2018, section 4.2.
    """
    exact = x.astype(jnp.float32)
    square = jnp.mean(jnp.square(exact), axis=-1, keepdims=True)
    return (exact * jax.lax.rsqrt(square + EPSILON)).astype(x.dtype)
