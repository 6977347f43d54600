"""What the networks of CycleGAN and pix2pix share: their norms."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from ssljax.models.layers.norm import BatchNorm, InstanceNorm

NORMS = ("instance", "batch")


def scale_init(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """Scales of batch norms: normal, mean 1, standard deviation 0.02."""
    return 1.0 + 0.02 * jax.random.normal(key, shape, dtype)


def make_norm(kind: str, dtype: DTypeLike, name: str) -> nn.Module:
    """Makes a norm by name.

    Args:
      kind: `"instance"`, which learns nothing, or `"batch"`.
      dtype: Type of the output.
      name: Of the module.

    Returns:
      The module, called as `norm(x, train)`.

    Raises:
      ValueError: If the kind is unknown.
    """
    if kind not in NORMS:
        raise ValueError(f"The norm is {kind!r}; it must be one of {', '.join(NORMS)}.")
    if kind == "instance":
        return InstanceNorm(dtype=dtype, name=name)
    return BatchNorm(scale_init=scale_init, dtype=dtype, name=name)
