"""Colours of a frame that are copied from other frames of its video."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.floats import as_float32
from ssljax.ops.propagation import copy_by_similarity

_LEAST = 1e-6
"""Probability below which a colour counts as one that no source has."""


def copied_color_cross_entropy(
    queries: Float[Array, "batch places dim"],
    keys: Float[Array, "batch sources dim"],
    key_colors: Float[Array, "batch sources classes"],
    colors: Float[Array, "batch places classes"],
    temperature: float = 1.0,
) -> Float32[Array, ""]:
    """Cross-entropy of the true colours against those copied from the sources that are alike.

    What is copied is a mixture of one-hot colours, which is a distribution already: its logarithm
    is taken, and no second softmax. A place whose colour has a probability below 1e-6 counts as if
    it had that, and teaches nothing.

    Args:
      queries: Embeddings of the places of one frame.
      keys: Embeddings of the places of the frames beside it.
      key_colors: Their colours, one-hot; they get no gradient.
      colors: The true colours, one-hot; they get no gradient.
      temperature: Divides the inner products before the softmax over all sources; 1 in training.

    Returns:
      Mean over all places, in nats.

    Reference:
      Vondrick et al., Tracking Emerges by Colorizing Videos (arXiv:1806.09594), 2018, eq. 1 to 3.

    Example:
      >>> import jax.numpy as jnp
      >>> colors, alike = jnp.eye(2)[None], jnp.ones((1, 2, 3))
      >>> even = copied_color_cross_entropy(alike, alike, colors, colors)
      >>> print(f"{even:.4f}")  # Half of what is copied is right: ln 2.
      0.6931
    """
    copied = copy_by_similarity(queries, keys, lax.stop_gradient(key_colors), temperature)
    right = jnp.sum(copied * as_float32(lax.stop_gradient(colors)), axis=-1)
    return -jnp.mean(jnp.log(jnp.maximum(right, _LEAST)))
