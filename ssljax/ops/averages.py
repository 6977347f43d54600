"""Averages over the steps of a run."""

from typing import Any

import optax
from jaxtyping import Array, Float

PyTree = Any


def moving_average(average: PyTree, new: PyTree, momentum: float | Float[Array, ""]) -> PyTree:
    """Moves the exponential moving average of a tree of arrays by one step.

    Args:
      average: Tree of arrays, the average so far.
      new: Tree of the same structure.
      momentum: Share of the old value, in [0, 1].

    Returns:
      momentum * average + (1 - momentum) * new.

    Example:
      >>> import jax.numpy as jnp
      >>> print(moving_average({"bias": jnp.array([4.0])}, {"bias": jnp.array([0.0])}, 0.75))
      {'bias': Array([3.], dtype=float32)}
    """
    return optax.incremental_update(new, average, 1.0 - momentum)
