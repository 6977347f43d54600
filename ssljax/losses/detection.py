"""The losses of a detector without anchors: classes, boxes and center-ness of places in images."""

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int

from ssljax.ops.axes import AxisName, sum_over
from ssljax.ops.boxes import generalized_iou
from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32


def focal_loss(
    logits: Float[Array, "batch places classes"],
    targets: Int[Array, "batch places"],
    alpha: float = 0.25,
    gamma: float = 2.0,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Sigmoid focal loss: what is told apart easily, as most of the ground is, hardly counts.

    Args:
      logits: Score of each class, each a yes or no.
      targets: The class of each place; -1 for none.
      alpha: Weight of a yes; that of a no is 1 - alpha.
      gamma: Power of the error by which a term is weakened; 0 for the cross-entropy.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The sum over places and classes, in nats, over the number of places that have a class; over 1
      where none has.

    Reference:
      Lin et al., Focal Loss for Dense Object Detection (arXiv:1708.02002), 2017, eq. 5.

    Example:
      >>> import jax.numpy as jnp
      >>> loss = focal_loss(jnp.zeros((1, 2, 1)), jnp.array([[0, -1]]))
      >>> print(f"{loss:.4f}")  # (0.25 + 0.75) / 4 of ln 2.
      0.1733
    """
    is_class = targets[..., None] == jnp.arange(logits.shape[-1])[None, None]
    terms = optax.sigmoid_focal_loss(
        as_float32(logits), is_class.astype(jnp.float32), alpha=alpha, gamma=gamma
    )
    count = sum_over(jnp.sum((targets >= 0).astype(jnp.float32)), axis_name)
    return sum_over(jnp.sum(terms), axis_name) / jnp.maximum(count, 1.0)


def giou_loss(
    predictions: Float[Array, "batch places 4"],
    targets: Float[Array, "batch places 4"],
    weights: Float[Array, "batch places"],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """1 - generalized IoU of boxes and true boxes, a weighted mean.

    Args:
      predictions: (top, left, bottom, right) of the box that each place predicts.
      targets: Of the true one; it gets no gradient.
      weights: What each place counts, such as its center-ness; 0 where there is no box. They get no
        gradient.
      axis_name: As in `focal_loss`.

    Returns:
      A value in [0, 2]; 0 if nothing counts.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Rezatofighi et al., Generalized Intersection over Union (arXiv:1902.09630), 2019. Weights:
      `fcos_core/modeling/rpn/fcos/loss.py` of tianzhi0549/FCOS.

    Example:
      >>> import jax.numpy as jnp
      >>> said = jnp.array([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 2.0]]])
      >>> true = jnp.array([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]])
      >>> print(giou_loss(said, true, jnp.array([[1.0, 3.0]])))
      0.375
    """
    check_same_shape(predictions=predictions, targets=targets)
    counts, truth = as_float32(lax.stop_gradient(weights)), lax.stop_gradient(targets)
    # Where nothing counts the box may be any, and even of no number; its gradient is 0.
    said = jnp.where(counts[..., None] > 0.0, as_float32(predictions), as_float32(truth))
    errors = 1.0 - generalized_iou(said, truth)
    terms = jnp.where(counts > 0.0, errors, 0.0) * counts
    total = sum_over(jnp.sum(counts), axis_name)
    value = sum_over(jnp.sum(terms), axis_name)
    return jnp.where(total > 0.0, value / jnp.where(total > 0.0, total, 1.0), 0.0)


def center_ness_loss(
    logits: Float[Array, "batch places"],
    targets: Float[Array, "batch places"],
    mask: Bool[Array, "batch places"],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Cross-entropy of predicted and true center-ness, a mean over the places that have a box.

    Args:
      logits: Of the prediction.
      targets: Values in [0, 1]; they get no gradient.
      mask: Which places have a box.
      axis_name: As in `focal_loss`.

    Returns:
      The mean, in nats; 0 if no place has a box.

    Reference:
      Tian et al., FCOS (arXiv:1904.01355), 2019, section 3.3.

    Example:
      >>> import jax.numpy as jnp
      >>> mask = jnp.array([[True, False]])
      >>> print(f"{center_ness_loss(jnp.zeros((1, 2)), jnp.ones((1, 2)), mask):.4f}")
      0.6931
    """
    check_same_shape(logits=logits, targets=targets, mask=mask)
    x, target = as_float32(logits), as_float32(lax.stop_gradient(targets))
    terms = jax.nn.softplus(x) - target * x
    count = sum_over(jnp.sum(mask.astype(jnp.float32)), axis_name)
    return sum_over(jnp.sum(jnp.where(mask, terms, 0.0)), axis_name) / jnp.maximum(count, 1.0)
