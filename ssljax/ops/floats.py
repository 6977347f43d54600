"""Floating types."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32


def as_float32(x: Float[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """The same numbers in float32, with a gradient that float16 can hold.

    The gradient with respect to a short vector is large: in float32 it may exceed float16's largest
    number, 65,504. It is clipped there instead of becoming infinite. Convert a value that is used
    several times once, so that the parts of its gradient are added in float32.

    Args:
      x: Numbers of any floating type.

    Returns:
      The numbers in float32.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> print(float(jax.grad(lambda x: 1e6 * as_float32(x))(jnp.float16(1.0))))
      65504.0
    """
    return _from_float16(x) if x.dtype == jnp.float16 else x.astype(jnp.float32)


@jax.custom_vjp
def _from_float16(x: Float[Array, "*shape"]) -> Float32[Array, "*shape"]:
    return x.astype(jnp.float32)


def _forward(x: Float[Array, "*shape"]) -> tuple[Float32[Array, "*shape"], None]:
    return x.astype(jnp.float32), None


def _backward(_: None, gradient: Float32[Array, "*shape"]) -> tuple[Float[Array, "*shape"]]:
    largest = float(jnp.finfo(jnp.float16).max)
    return (jnp.clip(gradient, -largest, largest).astype(jnp.float16),)


_from_float16.defvjp(_forward, _backward)
