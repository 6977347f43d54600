"""Checks of arguments that broadcasting or a wrong sign would otherwise let pass silently."""

from jaxtyping import Array, Shaped


def check_same_shape(**arrays: Shaped[Array, "..."]) -> None:
    """Raises unless all arrays have the same shape.

    Args:
      **arrays: The arrays, by their names in the caller.

    Raises:
      ValueError: If two shapes differ.

    Example:
      >>> import jax.numpy as jnp
      >>> check_same_shape(z1=jnp.zeros((4, 2)), z2=jnp.zeros((1, 2)))
      Traceback (most recent call last):
      ValueError: These arrays must have one shape: z1 (4, 2), z2 (1, 2).
    """
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"These arrays must have one shape: {shapes}.")


def check_positive(**values: float | Shaped[Array, ""]) -> None:
    """Raises unless all numbers are above 0; arrays, which may be traced, are not checked.

    Args:
      **values: The numbers, by their names in the caller.

    Raises:
      ValueError: If a number is 0 or below.

    Example:
      >>> check_positive(temperature=0.0)
      Traceback (most recent call last):
      ValueError: temperature is 0.0; it must be above 0.
    """
    for name, value in values.items():
        if isinstance(value, int | float) and value <= 0:
            raise ValueError(f"{name} is {value}; it must be above 0.")
