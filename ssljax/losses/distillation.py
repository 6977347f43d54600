"""DINO and iBOT: self-distillation from a centred and sharpened teacher."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32

from ssljax.losses.cross_view import cross_view_entropy
from ssljax.ops.averages import moving_average
from ssljax.ops.axes import AxisName, mean_over
from ssljax.ops.checks import check_positive, check_same_shape
from ssljax.ops.floats import as_float32


def dino_loss(
    student_logits: Sequence[Float[Array, "batch out"]] | Float[Array, "crops batch out"],
    teacher_logits: Sequence[Float[Array, "batch out"]] | Float[Array, "views batch out"],
    center: Float[Array, "out"],
    student_temperature: float | Float[Array, ""] = 0.1,
    teacher_temperature: float | Float[Array, ""] = 0.04,
) -> Float32[Array, ""]:
    """Cross-entropy of the student's crops against the teacher's global views.

    Every pair of a teacher view and a student crop counts once, save those of the same view. The
    teacher is a target: no gradient flows to it.

    Args:
      student_logits: One array per crop, the teacher's views first and in the same order.
      teacher_logits: One array per global view, usually two.
      center: Running mean of the teacher's logits; see `update_center`.
      student_temperature: Above 0.
      teacher_temperature: Above 0; 0.04, or rising to 0.07 over the first 30 epochs.

    Returns:
      Mean over the pairs and the batch, in nats.

    Raises:
      ValueError: If there are fewer crops than views, no pair of different views, or the shapes
        differ.

    Reference:
      Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021, eq. 3 and
      algorithm 1.

    Example:
      >>> import jax.numpy as jnp
      >>> student, teacher = jnp.zeros((4, 2, 8)), jnp.zeros((2, 2, 8))
      >>> print(f"{dino_loss(student, teacher, jnp.zeros(8)):.4f}")
      2.0794
    """
    check_positive(teacher_temperature=teacher_temperature)
    center = as_float32(center)[None, :]
    targets = [
        jax.nn.softmax((as_float32(teacher_logits[view]) - center) / teacher_temperature)
        for view in range(len(teacher_logits))
    ]
    return cross_view_entropy(targets, student_logits, student_temperature)


def masked_patch_entropy(
    targets: Float[Array, "batch patches out"],
    logits: Float[Array, "batch patches out"],
    mask: Bool[Array, "batch patches"],
    temperature: float | Float[Array, ""] = 0.1,
) -> Float32[Array, ""]:
    """Cross-entropy of the student's masked patches with the teacher's, which it cannot see.

    Args:
      targets: The teacher's distributions of every patch; get no gradient.
      logits: The student's.
      mask: True where a patch was hidden from the student.
      temperature: Divides the logits; above 0.

    Returns:
      Mean over the hidden patches of each image, and then over the images, in nats. An image of
      which nothing is hidden costs nothing, and counts all the same.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Zhou et al., iBOT: Image BERT Pre-Training with Online Tokenizer, 2022, eq. 3; the means as in
      `main_ibot.py` of bytedance/ibot.

    Example:
      >>> import jax.numpy as jnp
      >>> targets, mask = jnp.full((2, 3, 4), 0.25), jnp.array([[True, True, False], [False] * 3])
      >>> print(f"{masked_patch_entropy(targets, jnp.zeros((2, 3, 4)), mask):.4f}")
      0.6931
    """
    check_positive(temperature=temperature)
    check_same_shape(targets=targets, logits=logits)
    targets = as_float32(lax.stop_gradient(targets))
    entropy = -jnp.sum(targets * jax.nn.log_softmax(as_float32(logits) / temperature), axis=-1)
    hidden = jnp.maximum(jnp.sum(mask, axis=1, dtype=jnp.float32), 1.0)
    return jnp.mean(jnp.sum(jnp.where(mask, entropy, 0.0), axis=1) / hidden)


def update_center(
    center: Float[Array, "out"],
    teacher_logits: Sequence[Float[Array, "batch out"]] | Float[Array, "views batch out"],
    momentum: float | Float[Array, ""] = 0.9,
    axis_name: AxisName = None,
) -> Float32[Array, "out"]:
    """Moves the centre towards the mean of this batch's teacher logits, over all views.

    The loss uses the centre from *before* this update.

    Args:
      center: The running mean.
      teacher_logits: One array per global view.
      momentum: In [0, 1); 0.9.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The mean
        is then the whole batch's, and every device has the same centre.

    Returns:
      The new centre.

    Reference:
      Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021, eq. 4.

    Example:
      >>> import jax.numpy as jnp
      >>> print(update_center(jnp.zeros(2), jnp.ones((2, 4, 2)), momentum=0.75))
      [0.25 0.25]
    """
    views = [as_float32(teacher_logits[i]) for i in range(len(teacher_logits))]
    mean = jnp.mean(jnp.stack([jnp.mean(view, axis=0) for view in views]), axis=0)
    return moving_average(as_float32(center), mean_over(mean, axis_name), momentum)
