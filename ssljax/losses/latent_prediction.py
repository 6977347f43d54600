"""Prediction of an encoder's own tokens: I-JEPA."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32

from ssljax.ops.axes import AxisName, sum_over
from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32


def latent_smooth_l1(
    prediction: Float[Array, "*tokens dim"],
    target: Float[Array, "*tokens dim"],
    present: Bool[Array, "*tokens"],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Smooth absolute error of tokens, whose targets are normalised over their channels.

    A difference d costs d^2 / 2 where it is below 1, and |d| - 1/2 above.

    Args:
      prediction: Predicted tokens, the batch first.
      target: The target encoder's tokens in the same places; they get no gradient. Each is given
        mean 0 and variance 1, with 1e-5 added to the variance.
      present: Which of the tokens count.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The error averaged over channels and the tokens that count; 0 if none does.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive
      Architecture, 2023, section 3; normalised and smooth as in `src/train.py` of
      facebookresearch/ijepa, where the paper has squares.

    Example:
      >>> import jax.numpy as jnp
      >>> zeros, target = jnp.zeros((2, 2)), jnp.array([[3.0, 5.0], [9.0, 9.0]])
      >>> print(f"{latent_smooth_l1(zeros, target, jnp.array([True, False])):.2f}")
      0.50
    """
    check_same_shape(prediction=prediction, target=target)
    target = as_float32(lax.stop_gradient(target))
    centred = target - jnp.mean(target, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    distance = jnp.abs(as_float32(prediction) - centred * lax.rsqrt(variance + 1e-5))
    errors = jnp.where(distance < 1.0, jnp.square(distance) / 2.0, distance - 0.5)
    weight = present.astype(jnp.float32)
    total = sum_over(jnp.sum(jnp.mean(errors, axis=-1) * weight), axis_name)
    return total / jnp.maximum(sum_over(jnp.sum(weight), axis_name), 1.0)
