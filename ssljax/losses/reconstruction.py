"""Reconstruction of masked patches: the masked autoencoder and SimMIM."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Num

from ssljax.ops.axes import AxisName, sum_over
from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32


def masked_patch_mse(
    prediction: Float[Array, "batch patches values"],
    target: Float[Array, "batch patches values"],
    mask: Bool[Array, "batch patches"] | Num[Array, "batch patches"],
    normalize: bool = True,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Mean squared error on the masked patches alone.

    Args:
      prediction: Decoder outputs for every patch.
      target: Pixel values of every patch, in the image's own scale; gets no gradient.
      mask: 1 (or True) where a patch was hidden from the encoder, else 0.
      normalize: First give each target patch mean 0 and variance 1. The variance is unbiased
        (divided by values - 1) and gets the paper's 1e-6 added, which is meant for pixels of
        the order of 1.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The error averaged over the hidden patches of the global batch; 0 if none is hidden.

    Raises:
      ValueError: If the shapes differ, or patches of a single value are to be normalised.

    Reference:
      He et al., Masked Autoencoders Are Scalable Vision Learners, 2022, section 3.

    Example:
      >>> import jax.numpy as jnp
      >>> target = jnp.array([[[0.0, 2.0], [5.0, 5.0]]])
      >>> print(masked_patch_mse(target + 3, target, jnp.array([[1, 0]]), normalize=False))
      9.0
    """
    check_same_shape(prediction=prediction, target=target)
    prediction = as_float32(prediction)
    target = as_float32(lax.stop_gradient(target))
    if normalize:
        if target.shape[-1] < 2:
            raise ValueError("A patch of one value has no variance: pass normalize=False.")
        mean = jnp.mean(target, axis=-1, keepdims=True)
        variance = jnp.var(target, axis=-1, ddof=1, keepdims=True)
        target = (target - mean) * lax.rsqrt(variance + 1e-6)
    return _mean_of_hidden(jnp.square(prediction - target), mask, axis_name)


def masked_patch_l1(
    prediction: Float[Array, "batch patches values"],
    target: Float[Array, "batch patches values"],
    mask: Bool[Array, "batch patches"] | Num[Array, "batch patches"],
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Mean absolute error on the masked patches alone.

    Args:
      prediction: Predicted pixels of every patch.
      target: Pixel values of every patch; gets no gradient.
      mask: 1 (or True) where a patch was hidden from the encoder, else 0.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The loss
        is then the whole batch's, the same on every device: average (`pmean`) the gradients.

    Returns:
      The error averaged over the hidden patches of the global batch; 0 if none is hidden.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Xie et al., SimMIM: a Simple Framework for Masked Image Modeling, 2022, section 3.4.

    Example:
      >>> import jax.numpy as jnp
      >>> target = jnp.array([[[0.0, 2.0], [5.0, 5.0]]])
      >>> print(masked_patch_l1(target + 3, target, jnp.array([[1, 0]])))
      3.0
    """
    check_same_shape(prediction=prediction, target=target)
    target = as_float32(lax.stop_gradient(target))
    return _mean_of_hidden(jnp.abs(as_float32(prediction) - target), mask, axis_name)


def _mean_of_hidden(
    errors: Float32[Array, "batch patches values"],
    mask: Bool[Array, "batch patches"] | Num[Array, "batch patches"],
    axis_name: AxisName,
) -> Float32[Array, ""]:
    weight = mask.astype(jnp.float32)
    hidden = sum_over(jnp.sum(weight), axis_name)
    total = sum_over(jnp.sum(jnp.mean(errors, axis=-1) * weight), axis_name)
    return total / jnp.maximum(hidden, 1.0)
