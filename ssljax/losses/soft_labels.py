"""Distillation of a classifier: a student learns the class probabilities of its teacher."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int

from ssljax.ops.checks import check_positive, check_same_shape
from ssljax.ops.floats import as_float32


def soft_label_cross_entropy(
    student_logits: Float[Array, "batch classes"],
    teacher_logits: Float[Array, "batch classes"],
    temperature: float = 1.0,
) -> Float32[Array, ""]:
    """Cross-entropy of the student's probabilities against the teacher's, without labels.

    Both are softmax(logits / temperature). The teacher is a target: no gradient flows to it. A
    higher temperature makes the gradient smaller; the factor temperature ** 2 by which others make
    up for it is not in the paper's loss.

    Args:
      student_logits: The student's class scores.
      teacher_logits: The teacher's, of the same images.
      temperature: Of both, above 0: below 1 sharpens, above 1 softens.

    Returns:
      Mean over the batch, in nats; at least the entropy of the teacher's probabilities.

    Raises:
      ValueError: If the shapes differ or the temperature is not positive.

    Reference:
      Chen et al., Big Self-Supervised Models are Strong Semi-Supervised Learners, 2020, section 2,
      the loss over unlabelled examples; Hinton et al., Distilling the Knowledge in a Neural
      Network, 2015.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{soft_label_cross_entropy(jnp.zeros((3, 4)), jnp.eye(3, 4)):.4f}")
      1.3863
    """
    return jnp.mean(_soft_terms(student_logits, teacher_logits, temperature))


def labelled_distillation(
    student_logits: Float[Array, "batch classes"],
    teacher_logits: Float[Array, "batch classes"],
    labels: Int[Array, "batch"],
    temperature: float = 1.0,
    alpha: float = 0.5,
) -> Float32[Array, ""]:
    """Weighs the teacher's probabilities against the true labels, where there are any.

    Args:
      student_logits: The student's class scores.
      teacher_logits: The teacher's, of the same images; they get no gradient.
      labels: True classes; -1 where the label is not known.
      temperature: Of the soft labels, above 0; the true ones are compared at 1.
      alpha: Weight of the soft labels, in [0, 1]; the true ones have 1 - alpha.

    Returns:
      alpha times the soft terms of all images plus (1 - alpha) times the cross-entropies of the
      labelled ones, summed and divided by the batch. As in the paper's sums over both sets, the
      rarer labels are, the less they weigh.

    Raises:
      ValueError: If the shapes differ, the temperature is not positive or alpha out of range.

    Reference:
      Chen et al., Big Self-Supervised Models are Strong Semi-Supervised Learners, 2020, section 2,
      the weighted combination for when there are many labels.

    Example:
      >>> import jax.numpy as jnp
      >>> logits, labels = jnp.zeros((2, 4)), jnp.array([3, -1])
      >>> print(f"{labelled_distillation(logits, logits, labels):.4f}")  # 3/4 of ln 4
      1.0397
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must be in [0, 1].")
    soft = _soft_terms(student_logits, teacher_logits, temperature)
    log_student = jax.nn.log_softmax(as_float32(student_logits))
    # A label of -1 has no place in the one-hot rows: its row, and so its term, is zero.
    true = -jnp.sum(jax.nn.one_hot(labels, student_logits.shape[1]) * log_student, axis=1)
    return jnp.mean(alpha * soft + (1 - alpha) * true)


def _soft_terms(
    student_logits: Float[Array, "batch classes"],
    teacher_logits: Float[Array, "batch classes"],
    temperature: float,
) -> Float32[Array, "batch"]:
    check_positive(temperature=temperature)
    check_same_shape(student_logits=student_logits, teacher_logits=teacher_logits)
    teacher = as_float32(jax.lax.stop_gradient(teacher_logits)) / temperature
    student = jax.nn.log_softmax(as_float32(student_logits) / temperature)
    return -jnp.sum(jax.nn.softmax(teacher) * student, axis=1)
