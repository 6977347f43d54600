"""Cross-entropy between the views of an image: the shared part of SwAV and DINO."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.checks import check_positive, check_same_shape
from ssljax.ops.floats import as_float32


def cross_view_entropy(
    targets: Sequence[Float[Array, "batch out"]] | Float[Array, "views batch out"],
    logits: Sequence[Float[Array, "batch out"]] | Float[Array, "crops batch out"],
    temperature: float | Float[Array, ""],
) -> Float32[Array, ""]:
    """Cross-entropy of every target view with every *other* crop's prediction.

    Args:
      targets: Distributions of the first crops, one array per view; get no gradient.
      logits: One array per crop, those of the target views first and in the same order.
      temperature: Divides the logits; above 0.

    Returns:
      Mean over the pairs and the batch, in nats.

    Raises:
      ValueError: If there are fewer crops than views, no pair of different views, or the shapes
        differ.

    Example:
      >>> import jax.numpy as jnp
      >>> targets, logits = jnp.full((2, 4, 10), 0.1), jnp.zeros((6, 4, 10))
      >>> print(f"{cross_view_entropy(targets, logits, 0.1):.4f}")
      2.3026
    """
    check_positive(temperature=temperature)
    crops, views = len(logits), len(targets)
    if views < 1 or crops < max(views, 2):
        raise ValueError(
            f"Each of {views} target views is paired with the other ones of {crops} crops: give a "
            "target or more, and two crops or more, among them every target's own."
        )
    log_predictions = [
        jax.nn.log_softmax(as_float32(logits[crop]) / temperature) for crop in range(crops)
    ]
    total = jnp.float32(0.0)
    for view in range(views):
        target = as_float32(lax.stop_gradient(targets[view]))
        for crop in range(crops):
            if crop != view:
                check_same_shape(target=target, crop=log_predictions[crop])
                total -= jnp.mean(jnp.sum(target * log_predictions[crop], axis=-1))
    return total / (views * (crops - 1))
