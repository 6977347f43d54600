"""How near an image comes to another: peak signal-to-noise ratio and structural similarity."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
_BLACK = 16 / 255
"""ITU-R BT.601, of red, green and blue in [0, 1]: black is at 16 of 255, white at 235."""

_SIGMA = 1.5
_RADIUS = 5
_K1, _K2 = 0.01, 0.03
_LEAST_ERROR = 1e-10
"""In units of the square of white less black."""


def luma(images: Float[Array, "*batch height width 3"]) -> Float[Array, "*batch height width 1"]:
    """The channel Y of YCbCr, on which super-resolution is scored.

    Args:
      images: Red, green and blue in [0, 1].

    Returns:
      Y in [16/255, 235/255], as in video: `skimage.color.rgb2ycbcr`, divided by 255.

    Reference:
      ITU-R BT.601.
    """
    weights = jnp.asarray(_LUMA, jnp.float32).reshape(*[1] * (images.ndim - 1), 3)
    return jnp.sum(images * weights, axis=-1, keepdims=True) + _BLACK


def without_border(
    images: Float[Array, "batch height width channels"], border: int
) -> Float[Array, "batch inner_height inner_width channels"]:
    """Cuts pixels off on all four sides, as both scores of super-resolution are taken.

    Args:
      images: Any images.
      border: Pixels on each side.

    Returns:
      What lies inside.

    Raises:
      ValueError: If nothing would be left.
    """
    height, width = images.shape[1:3]
    if not 0 <= 2 * border < min(height, width):
        raise ValueError(f"A border of {border} pixels leaves nothing of {height}x{width}.")
    return images[:, border : height - border, border : width - border]


def psnr(
    images: Float[Array, "batch height width channels"],
    truth: Float[Array, "batch height width channels"],
    data_range: float = 1.0,
) -> Float[Array, " batch"]:
    """Peak signal-to-noise ratio.

    Args:
      images: What is scored.
      truth: What it should be.
      data_range: White less black.

    Returns:
      That of each image, by `decibels` of the mean squared error over all its pixels and channels.

    Example:
      >>> import jax.numpy as jnp
      >>> print(psnr(jnp.full((1, 4, 4, 1), 0.6), jnp.full((1, 4, 4, 1), 0.5)).round(2))
      [20.]
    """
    return decibels(jnp.mean(jnp.square(images - truth), axis=(1, 2, 3)), data_range)


def decibels(error: Float[Array, "*shape"], data_range: float = 1.0) -> Float[Array, "*shape"]:
    """The peak signal-to-noise ratio of mean squared errors.

    Args:
      error: Mean squares.
      data_range: White less black.

    Returns:
      10 log10(data_range² / error), in decibels and at most 100: two equal images would have an
      infinite one, and with it the mean over any number of images.

    Example:
      >>> import jax.numpy as jnp
      >>> print(decibels(jnp.array([0.01, 0.0])))
      [ 20. 100.]
    """
    span = jnp.float32(data_range)
    error = jnp.maximum(error, _LEAST_ERROR * span**2)
    return 20.0 * jnp.log10(span) - 10.0 * jnp.log10(error)


def ssim(
    images: Float[Array, "batch height width channels"],
    truth: Float[Array, "batch height width channels"],
    data_range: float = 1.0,
) -> Float[Array, " batch"]:
    """Structural similarity with the paper's Gaussian window.

    Args:
      images: What is scored.
      truth: What it should be, of at least 11 pixels a side.
      data_range: White less black.

    Returns:
      The mean over channels and all places where the window of 11x11 pixels, of standard deviation
      1.5, lies wholly inside the image; at most 1. It is `skimage.metrics.structural_similarity`
      with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`.

    Raises:
      ValueError: If the images are smaller than the window.

    Reference:
      Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004,
      section III.
    """
    height, width = images.shape[1:3]
    if min(height, width) <= 2 * _RADIUS:
        raise ValueError(
            f"Images of {height}x{width} pixels are smaller than the window of SSIM, 11x11."
        )
    rows, columns = _window(height), _window(width)

    def smooth(x: Array) -> Array:
        exact = jax.lax.Precision.HIGHEST  # Variances are differences of what is nearly equal.
        return jnp.einsum("ph,bhwc,qw->bpqc", rows, x, columns, precision=exact)

    # The mean of an image changes no variance, but its square would cost digits.
    shift = jnp.mean(truth, axis=(1, 2), keepdims=True)
    x, y = images - shift, truth - shift
    mean_x, mean_y = smooth(x), smooth(y)
    var_x = smooth(x * x) - mean_x * mean_x
    var_y = smooth(y * y) - mean_y * mean_y
    covariance = smooth(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + shift, mean_y + shift
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return jnp.mean(above / below, axis=(1, 2, 3))


def _window(side: int) -> Float[Array, "places side"]:
    """Weights of the pixels of one axis at each place of the window."""
    places = np.arange(side - 2 * _RADIUS)[:, None] + _RADIUS
    away = np.arange(side)[None] - places
    weights = np.where(np.abs(away) <= _RADIUS, np.exp(-0.5 * (away / _SIGMA) ** 2), 0.0)
    return jnp.asarray(weights / weights.sum(axis=1, keepdims=True), jnp.float32)
