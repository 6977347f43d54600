"""The queue of earlier batches' embeddings, from which MoCo, NNCLR and SwAV take what they compare.

`losses.enqueue` puts a batch into it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax.methods.contract import Task
from ssljax.ops.normalize import l2_normalize


def images_per_update(size: int, config: ConfigDict, task: Task) -> int:
    """Counts the embeddings that one update puts into a queue.

    Args:
      size: Embeddings in the queue; 0 for no queue.
      config: The whole resolved config.
      task: What is known of data and length.

    Returns:
      The images of one update.

    Raises:
      ValueError: If they do not fill the queue to its end.
    """
    accumulate = config.optimizer.accumulate
    images = task.batch_size * accumulate
    if size % images:
        batches = "the batch" if accumulate == 1 else f"the {accumulate} batches of an update, each"
        raise ValueError(
            f"method.queue_size={size} is not a multiple of {batches} of {task.batch_size} images: "
            "change one of the two."
        )
    return images


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
