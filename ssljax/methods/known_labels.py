"""Learning from the labels that are known: an image without one, of label -1, has no weight."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int


def is_known(labels: Int[Array, "batch"]) -> Bool[Array, "batch"]:
    """Marks the images that have a label."""
    return labels >= 0


def mean_known(values: Float[Array, "batch"], labels: Int[Array, "batch"]) -> Float[Array, ""]:
    """The mean over the images of the global batch that have a label; 0 if none has."""
    known = is_known(labels)
    total = jnp.sum(jnp.where(known, values, 0.0))
    return total / jnp.maximum(jnp.sum(known.astype(values.dtype)), 1.0)


def classify(
    logits: Float[Array, "batch classes"], labels: Int[Array, "batch"]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Cross-entropy against the labels that are known.

    Args:
      logits: Score of each class.
      labels: Classes; -1 where there is none.

    Returns:
      The mean cross-entropy in nats, and, for the log, "accuracy", in [0, 1], and "labelled", the
      share of the images that have a label. All are 0 where no image has one.
    """
    known = is_known(labels)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(known, labels, 0))
    hits = (jnp.argmax(logits, axis=1).astype(labels.dtype) == labels).astype(jnp.float32)
    return mean_known(losses, labels), {
        "accuracy": mean_known(hits, labels),
        "labelled": jnp.mean(known.astype(jnp.float32)),
    }
