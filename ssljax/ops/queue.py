"""A ring buffer of earlier batches' embeddings, which is the same on every device."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ssljax.ops.axes import AxisName, on_any_mesh
from ssljax.ops.normalize import l2_normalize


def random_directions(key: PRNGKeyArray, size: int, dim: int) -> dict[str, Array]:
    """Makes a queue of random rows.

    Args:
      key: Random key.
      size: Number of rows.
      dim: Their dimensions.

    Returns:
      "queue", (size, dim), rows of length 1 in random directions; "pointer", the row to be replaced
      next.

    Example:
      >>> import jax
      >>> start = random_directions(jax.random.key(0), 4, 3)
      >>> print(start["queue"].shape, start["pointer"])
      (4, 3) 0
    """
    return {
        "queue": l2_normalize(jax.random.normal(key, (size, dim))),
        "pointer": jnp.zeros((), jnp.int32),
    }


@on_any_mesh(like=("queue", "pointer"))
def enqueue(
    queue: Float[Array, "size dim"],
    pointer: Int[Array, ""],
    keys: Float[Array, "batch dim"],
    axis_name: AxisName = None,
) -> tuple[Float[Array, "size dim"], Int[Array, ""]]:
    """Writes a batch of keys over the oldest rows of a ring buffer.

    A queue that starts at zeros is full as soon as its last row is not zero. The pointer is
    rounded down to a multiple of the batch, so that no batch is cut at the end of the buffer when
    the batch size changes between two runs.

    Args:
      queue: The buffer.
      pointer: Row where the oldest batch starts, in [0, size).
      keys: Rows to store, cast to the queue's type.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the keys lie. The keys
        of all devices are stored, and every device has the same queue.

    Returns:
      The new queue, and the pointer to its oldest batch.

    Raises:
      ValueError: If the batch does not divide the size of the queue.

    Reference:
      He et al., Momentum Contrast, 2020, section 3.2 and algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> queue, pointer = jnp.zeros((4, 1)), jnp.int32(2)
      >>> queue, pointer = enqueue(queue, pointer, jnp.array([[7.0], [8.0]]))
      >>> print(queue[:, 0], pointer)
      [0. 0. 7. 8.] 0
    """
    if axis_name is not None:
        keys = lax.all_gather(keys, axis_name, tiled=True, to="invarying")
    size, batch = queue.shape[0], keys.shape[0]
    if size % batch:
        raise ValueError(
            f"A queue of {size} rows cannot be filled by batches of {batch}: "
            "choose a queue size that is a multiple of the batch."
        )
    start = pointer // batch * batch
    queue = lax.dynamic_update_slice_in_dim(queue, keys.astype(queue.dtype), start, axis=0)
    return queue, (start + batch) % size
