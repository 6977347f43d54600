"""Colours that are told from lightness, or lightness from colours: as classes, or as numbers."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Num

from ssljax.ops.axes import AxisName, sum_over
from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32


def color_classification(
    logits: Float[Array, "batch *places bins"],
    targets: Float[Array, "batch *places bins"],
    bin_weights: Float[Array, "batch bins"],
    mask: Bool[Array, "batch"] | Num[Array, "batch"],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Cross-entropy against soft targets, weighted by how rare the colour of each place is.

    A place weighs as the bin that has the largest share of its target. The weight multiplies the
    place's cross-entropy, and thereby the gradient of its logits.

    Args:
      logits: Scores of the bins at each place.
      targets: Their true shares, which sum to 1; they get no gradient.
      bin_weights: A weight for each bin, for each image; equal rows, where all images share them.
      mask: 1 (or True) for the images that count, such as those with any colour, else 0.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      Mean over all places of the images that count, in nats; 0 if none does.

    Raises:
      ValueError: If the shapes of logits and targets differ.

    Reference:
      Zhang, Isola and Efros, Colorful Image Colorization (arXiv:1603.08511), 2016, eq. 2 and 3.

    Example:
      >>> import jax.numpy as jnp
      >>> logits, targets = jnp.zeros((1, 2, 4)), jnp.eye(4)[None, :2]
      >>> weights = jnp.array([[1.0, 3.0, 1.0, 1.0]])
      >>> loss = color_classification(logits, targets, weights, jnp.array([True]))
      >>> print(f"{loss:.4f}")  # Twice ln 4.
      2.7726
    """
    check_same_shape(logits=logits, targets=targets)
    targets = as_float32(lax.stop_gradient(targets))
    entropies = -jnp.sum(targets * jax.nn.log_softmax(as_float32(logits)), axis=-1)
    rarest = jax.nn.one_hot(jnp.argmax(targets, axis=-1), targets.shape[-1])
    # A mask, not indices, which have no layout of their own on a mesh of Explicit axes.
    spread = bin_weights.reshape(len(bin_weights), *(1,) * (targets.ndim - 2), -1)
    weights = jnp.sum(rarest * as_float32(lax.stop_gradient(spread)), axis=-1)
    return _masked_mean(entropies * weights, mask, axis_name)


def color_regression(
    predictions: Float[Array, "batch *places dim"],
    targets: Float[Array, "batch *places dim"],
    mask: Bool[Array, "batch"] | Num[Array, "batch"],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Half the squared distance between colours.

    Args:
      predictions: Coordinates of a colour at each place.
      targets: The true ones; they get no gradient.
      mask: 1 (or True) for the images that count, else 0.
      axis_name: As in `color_classification`.

    Returns:
      Mean over all places of the images that count; 0 if none does.

    Raises:
      ValueError: If the shapes of predictions and targets differ.

    Reference:
      Zhang, Isola and Efros, Split-Brain Autoencoders (arXiv:1611.09842), 2016, eq. 2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(color_regression(jnp.ones((1, 5, 2)), jnp.zeros((1, 5, 2)), jnp.ones(1)))
      1.0
    """
    check_same_shape(predictions=predictions, targets=targets)
    errors = jnp.square(as_float32(predictions) - as_float32(lax.stop_gradient(targets)))
    return _masked_mean(0.5 * jnp.sum(errors, axis=-1), mask, axis_name)


def _masked_mean(
    values: Float[Array, "batch *places"],
    mask: Num[Array, "batch"] | Bool[Array, "batch"],
    axis_name: AxisName,
) -> Float32[Array, ""]:
    """Mean over all places of the images whose mask is 1, on all devices."""
    means = jnp.mean(values.reshape(len(values), -1), axis=1)
    counted = mask.astype(jnp.float32)
    count = sum_over(jnp.sum(counted), axis_name)
    return sum_over(jnp.sum(means * counted), axis_name) / jnp.maximum(count, 1.0)
