"""Pixel values: from bytes to floats, and to zero mean and unit variance."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, UInt8


def check_bytes(images: Num[Array | np.ndarray, "batch height width channels"]) -> None:
    """Raises ValueError unless images are bytes: their range is known, that of floats is not."""
    if images.dtype != np.uint8:
        raise ValueError(
            f"Images must be bytes, uint8 from 0 to 255, and these are {images.dtype}: make floats "
            "in [0, 1] bytes by (255 * images).round().astype('uint8')."
        )


def to_float(
    images: Num[Array | np.ndarray, "batch height width channels"],
) -> Float[Array, "batch height width channels"]:
    """Turns bytes into float32 in [0, 1]: the one way in for all views and features.

    Args:
      images: Images in 0 to 255, uint8.

    Returns:
      The images divided by 255.

    Raises:
      ValueError: If the images are not bytes: what is 0 to 1 already would come out as black.
    """
    check_bytes(images)
    return jnp.asarray(images).astype(jnp.float32) / 255.0


def to_tanh_range(
    images: Num[Array | np.ndarray, "batch height width channels"],
) -> Float[Array, "batch height width channels"]:
    """Turns bytes into float32 in [-1, 1], where a generator's images lie.

    Args:
      images: Images in 0 to 255, uint8.

    Returns:
      The images scaled so that 0 becomes -1 and 255 becomes 1.

    Raises:
      ValueError: If the images are not bytes.
    """
    return tanh_range(to_float(images))


def tanh_range(images: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Brings [0, 1] to [-1, 1]."""
    return 2.0 * images - 1.0


def unit_range(images: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Brings [-1, 1] to [0, 1]; what lies outside stays outside."""
    return (images + 1.0) / 2.0


def to_bytes(images: Float[Array, "*shape"]) -> UInt8[Array, "*shape"]:
    """Brings [0, 1] to bytes, as pictures are; what lies outside is clipped.

    Args:
      images: Images in [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> print(to_bytes(jnp.array([-0.1, 0.5, 1.0])))
      [  0 128 255]
    """
    return jnp.round(255 * jnp.clip(images, 0.0, 1.0)).astype(jnp.uint8)


def normalize(
    images: Float[Array, "*batch height width channels"],
    mean: Sequence[float],
    std: Sequence[float],
) -> Float[Array, "*batch height width channels"]:
    """Subtracts a mean and divides by a standard deviation, channel by channel.

    Args:
      images: Images in [0, 1], that may lie in several rows.
      mean: One number per channel, or one for all channels, in units of [0, 1].
      std: The same; all positive.

    Returns:
      The normalised images.

    Raises:
      ValueError: If there is not one positive number per channel.
    """
    channels = images.shape[-1]
    if len(mean) == len(std) == 1:
        mean, std = (*mean,) * channels, (*std,) * channels
    if len(mean) != channels or len(std) != channels:
        raise ValueError(
            f"mean and std need one number for each of {channels} channels, got {mean} and {std}."
        )
    if min(std) <= 0.0:
        raise ValueError(f"std must be positive, got {std}.")
    shape = [1] * (images.ndim - 1) + [channels]
    centre, spread = (jnp.asarray(x, images.dtype).reshape(shape) for x in (mean, std))
    return (images - centre) / spread


def denormalize(
    images: Float[Array, "*batch height width channels"],
    mean: Sequence[float],
    std: Sequence[float],
) -> Float[Array, "*batch height width channels"]:
    """Undoes `normalize`, of images that may lie in several rows.

    Args:
      images: Normalised images.
      mean: What was subtracted: a number per channel, or one for all.
      std: What was divided by, likewise.

    Returns:
      The images in [0, 1], as far as they are images.
    """
    shape = [1] * (images.ndim - 1) + [-1]
    centre, spread = (jnp.asarray(x, images.dtype).reshape(shape) for x in (mean, std))
    return images * spread + centre
