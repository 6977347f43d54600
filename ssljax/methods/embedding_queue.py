"""The queue of earlier batches' embeddings, from which MoCo, NNCLR and SwAV take what they compare.

`losses.enqueue` puts a batch into it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ssljax.losses.similarity import l2_normalize
from ssljax.methods.contract import Task


def check_size(size: int, task: Task) -> None:
    """Raises a ValueError if batches do not fill a queue of `size` embeddings to its end."""
    if size % task.batch_size:
        raise ValueError(
            f"method.queue_size={size} is not a multiple of the batch of {task.batch_size} images: "
            "change one of the two."
        )


def random_directions(key: PRNGKeyArray, size: int, dim: int) -> dict[str, Array]:
    """Makes a queue as it starts.

    Args:
      key: Random key.
      size: Number of embeddings.
      dim: Their dimensions.

    Returns:
      "queue", (size, dim), of length 1; "pointer", the row that is the next to be replaced.
    """
    return {
        "queue": l2_normalize(jax.random.normal(key, (size, dim))),
        "pointer": jnp.zeros((), jnp.int32),
    }
