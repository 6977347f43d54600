"""Values that change during a run."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def half_cosine(
    start: float | Float[Array, "*#shape"],
    end: float | Float[Array, "*#shape"],
    progress: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """Goes from one value to another along half a cosine, slowly at both ends.

    Args:
      start: Value where the progress is 0; the three arguments are broadcast.
      end: Value where it is 1.
      progress: Share of the way, in [0, 1].

    Returns:
      end + (start - end) * (1 + cos(pi * progress)) / 2.

    Reference:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, eq. 5.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{half_cosine(1.0, 0.0, jnp.float32(1 / 3)):.2f}")
      0.75
    """
    return end + (start - end) * (1.0 + jnp.cos(jnp.pi * progress)) / 2.0
