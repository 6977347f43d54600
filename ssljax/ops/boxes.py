"""Boxes in images: how far they overlap, and which of several on one thing stays.

A box is (top, left, bottom, right), in pixels or as fractions of the sides.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32

_NEVER = -jnp.inf


def box_areas(boxes: Float[Array, "*rows 4"]) -> Float[Array, "*rows"]:
    """Areas of boxes; 0 where the bottom is not below the top, or the right not to the right.

    Args:
      boxes: Any boxes.

    Returns:
      Their areas.

    Example:
      >>> import jax.numpy as jnp
      >>> print(box_areas(jnp.array([[0.0, 0.0, 2.0, 3.0], [5.0, 5.0, 4.0, 6.0]])))
      [6. 0.]
    """
    sides = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]


def pairwise_iou(
    first: Float[Array, "*rows boxes 4"], second: Float[Array, "*rows others 4"]
) -> Float[Array, "*rows boxes others"]:
    """Intersection over union of every pair.

    Args:
      first: Any boxes.
      second: Likewise.

    Returns:
      Values in [0, 1]; 0 for two boxes without an area.

    Example:
      >>> import jax.numpy as jnp
      >>> a = jnp.array([[0.0, 0.0, 2.0, 2.0]])
      >>> print(pairwise_iou(a, jnp.array([[0.0, 0.0, 2.0, 2.0], [0.0, 1.0, 2.0, 3.0]])))
      [[1.         0.33333334]]
    """
    a, b = as_float32(first)[..., :, None, :], as_float32(second)[..., None, :, :]
    return _iou(a, b)[0]


def paired_iou(
    first: Float[Array, "*rows 4"], second: Float[Array, "*rows 4"]
) -> Float[Array, "*rows"]:
    """Intersection over union of pairs.

    Args:
      first: Any boxes.
      second: As many.

    Returns:
      Values in [0, 1]; 0 for two boxes without an area.

    Raises:
      ValueError: If the shapes differ.

    Example:
      >>> import jax.numpy as jnp
      >>> print(paired_iou(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([0.0, 1.0, 2.0, 2.0])))
      0.5
    """
    check_same_shape(first=first, second=second)
    return _iou(as_float32(first), as_float32(second))[0]


def generalized_iou(
    first: Float[Array, "*rows 4"], second: Float[Array, "*rows 4"]
) -> Float[Array, "*rows"]:
    """Generalized IoU of pairs: the IoU less the share of their hull that neither covers.

    Unlike the IoU it tells boxes that do not meet how far they are apart.

    Args:
      first: Any boxes.
      second: As many.

    Returns:
      Values in [-1, 1]; 0 where both boxes are one point.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Rezatofighi et al., Generalized Intersection over Union (arXiv:1902.09630), 2019, algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> a, b = jnp.array([0.0, 0.0, 1.0, 1.0]), jnp.array([0.0, 3.0, 1.0, 4.0])
      >>> print(generalized_iou(a, a), generalized_iou(a, b))
      1.0 -0.5
    """
    check_same_shape(first=first, second=second)
    a, b = as_float32(first), as_float32(second)
    iou, union = _iou(a, b)
    corners = jnp.minimum(a[..., :2], b[..., :2]), jnp.maximum(a[..., 2:], b[..., 2:])
    hull = box_areas(jnp.concatenate(corners, axis=-1))
    free = jnp.where(hull > 0.0, (hull - union) / jnp.where(hull > 0.0, hull, 1.0), 0.0)
    return iou - free


def non_maximum_suppression(
    boxes: Float[Array, "boxes 4"],
    scores: Float[Array, " boxes"],
    classes: Int[Array, " boxes"],
    count: int,
    threshold: float,
) -> Int[Array, "{count}"]:
    """Keeps the best box of each thing: greedily, and among boxes of one class.

    The box of the highest score stays, those of its class whose IoU with it is above the threshold
    go, and so on with what is left. It ends after `count` boxes, so shapes are static.

    Args:
      boxes: The boxes.
      scores: Of each; those that are not above 0 never stay.
      classes: Of each.
      count: How many stay at most.
      threshold: Greatest IoU of two boxes of one class that both stay.

    Returns:
      Places of the boxes that stay, the highest score first; -1 where there are no more.

    Example:
      >>> import jax.numpy as jnp
      >>> boxes = jnp.array([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0], [0.0, 0.0, 8.0, 9.0]])
      >>> scores, classes = jnp.array([0.5, 0.9, 0.3]), jnp.array([1, 1, 2])
      >>> print(non_maximum_suppression(boxes, scores, classes, 3, 0.6))
      [ 1  2 -1]
    """

    def pick(left: Array, _: None) -> tuple[Array, Array]:
        best = jnp.argmax(left)
        overlaps = pairwise_iou(boxes[best][None], boxes)[0]
        gone = (overlaps > threshold) & (classes == classes[best])
        gone = gone.at[best].set(True)
        return jnp.where(gone, _NEVER, left), jnp.where(left[best] > 0.0, best, -1)

    start = jnp.where(scores > 0.0, as_float32(scores), _NEVER)
    return jax.lax.scan(pick, start, length=count)[1].astype(jnp.int32)


def _iou(
    a: Float[Array, "*rows 4"], b: Float[Array, "*others 4"]
) -> tuple[Float[Array, "*all"], Float[Array, "*all"]]:
    """IoU, and the area that either covers, of boxes that broadcast."""
    low, high = jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:])
    both = box_areas(jnp.concatenate([low, high], axis=-1))
    union = box_areas(a) + box_areas(b) - both
    return jnp.where(union > 0.0, both / jnp.where(union > 0.0, union, 1.0), 0.0), union
