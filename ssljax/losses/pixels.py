"""Reconstruction of pixels: autoencoders, inpainting, super-resolution, translation."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32


def pixel_squared_error(
    prediction: Float[Array, "batch height width channels"],
    target: Float[Array, "batch height width channels"],
    weight: Float[Array, "batch height width"] | None = None,
) -> Float32[Array, ""]:
    """Mean squared error of all pixels.

    Args:
      prediction: Restored images.
      target: What they should be; gets no gradient.
      weight: A factor on the errors of each pixel; the mean is still over all pixels, as the
        context encoder has it.

    Returns:
      The mean over batch, pixels and channels.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Vincent et al., Stacked Denoising Autoencoders, 2010, section 2.2. Weights: Pathak et al.,
      Context Encoders, 2016, section 3.2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(pixel_squared_error(jnp.full((1, 2, 2, 1), 3.0), jnp.ones((1, 2, 2, 1))))
      4.0
    """
    check_same_shape(prediction=prediction, target=target)
    error = jnp.square(as_float32(prediction) - as_float32(lax.stop_gradient(target)))
    return jnp.mean(error if weight is None else error * as_float32(weight)[..., None])


def pixel_absolute_error(
    prediction: Float[Array, "batch height width channels"],
    target: Float[Array, "batch height width channels"],
) -> Float32[Array, ""]:
    """Mean absolute error of all pixels, which blurs less than the squared one.

    Args:
      prediction: Restored or translated images.
      target: What they should be; gets no gradient.

    Returns:
      The mean over batch, pixels and channels.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, 2017, eq. 3;
      the way back of Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent
      Adversarial Networks, 2017, eq. 2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(pixel_absolute_error(jnp.full((1, 2, 2, 1), 3.0), jnp.ones((1, 2, 2, 1))))
      2.0
    """
    check_same_shape(prediction=prediction, target=target)
    return jnp.mean(jnp.abs(as_float32(prediction) - as_float32(lax.stop_gradient(target))))


def pixel_cross_entropy(
    logits: Float[Array, "batch height width channels"],
    target: Float[Array, "batch height width channels"],
) -> Float32[Array, ""]:
    """Cross-entropy of pixels that are taken for probabilities of being white.

    Args:
      logits: Of the restored pixels; the pixels themselves are their sigmoids.
      target: Pixels in [0, 1]; gets no gradient.

    Returns:
      -x log y - (1 - x) log(1 - y) in nats, a mean over batch, pixels and channels. Grey pixels
      keep it above 0.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders, 2008,
      eq. 2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{pixel_cross_entropy(jnp.zeros((1, 1, 2, 1)), jnp.ones((1, 1, 2, 1))):.4f}")
      0.6931
    """
    check_same_shape(logits=logits, target=target)
    logits, target = as_float32(logits), as_float32(lax.stop_gradient(target))
    return jnp.mean(jax.nn.softplus(logits) - target * logits)
