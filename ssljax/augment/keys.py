"""Random keys for augmentation: one per example, and from it one per operation."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key


def example_keys(key: Key[Array, ""], batch: int) -> Key[Array, " batch"]:
    """Gives every example of a batch its own key.

    Key i depends on `key` and i alone, so neither the size of the batch nor its layout over devices
    changes what happens to an example.

    Args:
      key: The key of this view at this step.
      batch: Number of examples in the global batch.

    Returns:
      One key per example.
    """
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(batch, dtype=jnp.uint32))


def fold_keys(keys: Key[Array, " batch"], data: int) -> Key[Array, " batch"]:
    """Folds one integer, such as the number of an operation, into every key.

    Args:
      keys: One key per example.
      data: A number that differs between the uses of the keys.

    Returns:
      One new key per example.
    """
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, jnp.uint32(data))


def uniform(keys: Key[Array, " batch"], count: int) -> Float[Array, "batch {count}"]:
    """Draws `count` numbers from [0, 1) with each key."""
    return jax.vmap(lambda key: jax.random.uniform(key, (count,), jnp.float32))(keys)


def between(draws: Float[Array, "*shape"], bounds: tuple[float, float]) -> Float[Array, "*shape"]:
    """Stretches draws from [0, 1) to a range."""
    return bounds[0] + (bounds[1] - bounds[0]) * draws


def bernoulli(keys: Key[Array, " batch"], p: float) -> Bool[Array, " batch"]:
    """Draws True with probability `p`, once with each key."""
    return jax.vmap(lambda key: jax.random.bernoulli(key, p))(keys)


def check_probability(p: float) -> None:
    """Raises ValueError unless `p` is a probability."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p must lie in [0, 1], got {p}.")
