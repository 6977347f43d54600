"""The queue of earlier batches' embeddings, from which MoCo, NNCLR and SwAV take what they compare.

`ssljax.ops.queue` makes it and puts a batch into it.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from ssljax.methods.contract import Task


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
