"""Autoencoding transformations: how an image was transformed is told from how it looked before."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.ops.floats import as_float32


def transformation_error(
    predicted: Float[Array, "batch parameters"], target: Float[Array, "_ _"]
) -> Float32[Array, ""]:
    """Mean squared error of a transformation's parameters.

    Args:
      predicted: What is said of each transformation.
      target: The truth; each parameter brought to about one size, as a homography's raw
        coefficients differ by factors of a thousand.

    Returns:
      Mean over images and parameters.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Zhang et al., AET vs. AED: Unsupervised Representation Learning by Auto-Encoding
      Transformations rather than Data, 2019, eq. 2.

    Example:
      >>> import jax.numpy as jnp
      >>> print(transformation_error(jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 0.0]])))
      0.5
    """
    if predicted.shape != target.shape:
        raise ValueError(f"Predicted are {predicted.shape} parameters, and given {target.shape}.")
    return jnp.mean(jnp.square(as_float32(predicted) - as_float32(target)))
