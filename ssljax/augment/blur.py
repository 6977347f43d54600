"""Gaussian blur with a separate width for each image."""

import math
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ssljax.augment.corrupt import gaussian_noise
from ssljax.augment.keys import bernoulli, between, check_probability, fold_keys, uniform
from ssljax.augment.resample import apply_separable

BlurPadding = Literal["reflect", "zeros"]


def blur_radius(height: int, kernel_size: int | None = None) -> int:
    """Pixels on each side of the centre of the kernel.

    Args:
      height: Height of the images in pixels.
      kernel_size: Odd size of the kernel, or None for a tenth of the height made odd.

    Returns:
      The radius.

    Raises:
      ValueError: If the size is even or not positive.
    """
    if kernel_size is None:
        return height // 10 // 2
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}.")
    return kernel_size // 2


def _blur_matrix(
    sigma: Float[Array, " batch"], size: int, radius: int, padding: BlurPadding
) -> Float[Array, "batch {size} {size}"]:
    """Row o holds the kernel around pixel o; weights past an end are reflected back, or dropped."""
    target, source = np.arange(size)[:, None], np.arange(size)[None, :]
    before = np.where(source > 0, target + source, size + radius)
    after = np.where(source < size - 1, 2 * (size - 1) - target - source, size + radius)

    def gaussian(distance: Int[np.ndarray, "_ _"]) -> Float[Array, "batch _ _"]:
        scaled = distance.astype(np.float32)[None] / sigma[:, None, None]
        return jnp.where((distance <= radius)[None], jnp.exp(-0.5 * scaled**2), 0.0)

    weights = gaussian(np.abs(target - source))
    if padding == "zeros":
        whole = gaussian(np.abs(np.arange(-radius, radius + 1))[None, :])
        return weights / jnp.sum(whole, axis=-1, keepdims=True)
    weights = weights + gaussian(before) + gaussian(after)
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


def gaussian_blur(
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    kernel_size: int | None = None,
    sigma: tuple[float, float] = (0.1, 2.0),
    p: float = 0.5,
    padding: BlurPadding = "reflect",
) -> Float[Array, "batch height width channels"]:
    """Blurs a random part of the images with a Gaussian of random width.

    A kernel of one pixel does nothing and is left out of the compiled program.

    Args:
      keys: One key per example.
      images: Images of any range.
      kernel_size: Odd size at which the kernel is cut off, in pixels; None stands for a tenth of
        the height made odd, so images of less than 20 pixels stay as they are.
      sigma: Range of the standard deviation in pixels.
      p: Probability that an image is blurred.
      padding: What lies around the image: "reflect", itself reflected without repeating the edge,
        as torchvision has it; or "zeros", as in SimCLR and BYOL, which darkens the borders.

    Returns:
      The images.

    Raises:
      ValueError: If the probability, the range, the kernel or the padding is impossible.

    Reference:
      Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020,
      appendix A.
    """
    check_probability(p)
    if not 0.0 < sigma[0] <= sigma[1]:
        raise ValueError(f"sigma must be 0 < low <= high, got {sigma}.")
    if padding not in ("reflect", "zeros"):
        raise ValueError(f"padding must be 'reflect' or 'zeros', got {padding!r}.")
    height, width = images.shape[1:3]
    radius = blur_radius(height, kernel_size)
    if radius >= min(height, width):
        raise ValueError(
            f"a kernel of {2 * radius + 1} pixels is too large for a {height}x{width} image."
        )
    if p == 0.0 or radius == 0:
        return images
    draw = uniform(fold_keys(keys, 0), 1)[:, 0]
    width_of_kernel = between(draw, sigma)
    rows = _blur_matrix(width_of_kernel, height, radius, padding)
    columns = rows
    if height != width:
        columns = _blur_matrix(width_of_kernel, width, radius, padding)
    # Choosing between matrices rather than images keeps the compiler from making the input twice.
    blurred = bernoulli(fold_keys(keys, 1), p)[:, None, None]
    rows = jnp.where(blurred, rows, jnp.eye(height, dtype=rows.dtype)[None])
    columns = jnp.where(blurred, columns, jnp.eye(width, dtype=rows.dtype)[None])
    return apply_separable(images, rows, columns)


def check_equalization(sigma: tuple[float, ...], noise: float) -> None:
    """Raises ValueError unless `equalize_sharpness` can take these."""
    if sigma and not (len(sigma) == 2 and 0.0 < sigma[0] <= sigma[1]):
        raise ValueError(f"blur must be empty or a range of pixels, 0 < low <= high, got {sigma}.")
    if noise < 0.0:
        raise ValueError(f"noise must not be negative, got {noise}.")


def equalize_sharpness(
    keys: Key[Array, "batch parts"],
    images: Float[Array, "batch parts height width channels"],
    sigma: tuple[float, ...],
    noise: float = 0.0,
) -> Float[Array, "batch parts height width channels"]:
    """Blurs every part of every image at random, so that its sharpness tells nothing of its origin.

    An image that was resampled is less sharp than one that was not, or has other frequencies. A
    network that is to tell how it was made would look at that rather than at what it shows.

    Resampling by less than 2 leaves most of its traces in the upper octave of frequencies. A blur
    of at least 1 pixel makes that weak in every part, and noise hides the rest of it; widths that
    are drawn apart hide what lower frequencies tell.

    Args:
      keys: One key per part, independent of one another.
      images: Parts, views or tiles of images, of any range.
      sigma: Range of the standard deviation in pixels; empty for no blur.
      noise: Standard deviation of normal noise on each value after the blur; 0 for none.

    Returns:
      The images; they are not clipped.

    Raises:
      ValueError: If the range is impossible, or too wide for the images' size, or the noise is
        negative.
    """
    check_equalization(sigma, noise)
    if not (sigma or noise):
        return images
    batch, parts, *shape = images.shape
    flat, keys = images.reshape(batch * parts, *shape), keys.reshape(-1)
    if sigma:
        low, high = sigma
        flat = gaussian_blur(keys, flat, 2 * math.ceil(3 * high) + 1, (low, high), 1.0)
    if noise:
        flat = gaussian_noise(fold_keys(keys, 2), flat, noise)
    return flat.reshape(images.shape)
