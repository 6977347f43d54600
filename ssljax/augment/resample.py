"""Separable linear resampling: one matrix for the rows of an image and one for its columns.

Cropping, resizing, shifting and blurring are all of this form. Two matrix products per image suit
an accelerator better than gathering pixels does.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ssljax.augment.planar import from_planar, to_planar

Interpolation = Literal["bilinear", "bicubic"]


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Reads a size as (height, width); an int means a square.

    Raises:
      ValueError: If a side is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size must be positive, got {size}.")
    return height, width


def apply_separable(
    images: Float[Array, "batch height width channels"],
    rows: Float[Array, "*batch out_height height"],
    columns: Float[Array, "*batch out_width width"],
) -> Float[Array, "batch out_height out_width channels"]:
    """Multiplies the rows and the columns of each image by a matrix.

    Args:
      images: Images of any range.
      rows: Weights of the input rows in each output row, per image or shared by the batch.
      columns: The same for columns.

    Returns:
      The resampled images.
    """
    # The default precision of accelerators rounds to 8 or 10 bits, which is no better than the
    # precision of the image.
    precision = jax.lax.Precision.HIGHEST
    batch = "b" if rows.ndim == 3 else ""
    planes = to_planar(images)
    planes = jnp.einsum(f"bchw,{batch}pw->bchp", planes, columns, precision=precision)
    planes = jnp.einsum(f"{batch}oh,bchp->bcop", rows, planes, precision=precision)
    return from_planar(planes)


def _kernel(distance: Float[Array, "*shape"], method: Interpolation) -> Float[Array, "*shape"]:
    d = jnp.abs(distance)
    if method == "bilinear":
        return jnp.maximum(1.0 - d, 0.0)
    # Keys' cubic convolution with a = -0.5, the value of Pillow and of jax.image.
    near = (1.5 * d - 2.5) * d * d + 1.0
    far = ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0
    return jnp.where(d < 1.0, near, jnp.where(d < 2.0, far, 0.0))


def interpolation_weights(
    start: Float[Array, "*batch"],
    length: Float[Array, "*batch"],
    size_in: int,
    size_out: int,
    method: Interpolation = "bilinear",
    antialias: bool = True,
) -> Float[Array, "*batch {size_out} {size_in}"]:
    """Weights that resize the interval [start, start + length) of an axis to `size_out` pixels.

    Pixels outside the interval get no weight and each row sums to one: the result is that of
    cutting the interval out first, as Pillow's `crop` then `resize`.

    Args:
      start: First pixel of the interval.
      length: Number of pixels of the interval, at least one.
      size_in: Pixels of the whole axis.
      size_out: Pixels wanted.
      method: "bilinear" (triangle kernel) or "bicubic" (a = -0.5).
      antialias: Widen the kernel when shrinking, as Pillow does.

    Returns:
      The weights.

    Raises:
      ValueError: If the method is unknown.
    """
    if method not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolation must be 'bilinear' or 'bicubic', got {method!r}.")
    start, length = start[..., None, None], length[..., None, None]
    batch_axes = (1,) * (start.ndim - 2)
    pixel = jnp.arange(size_in, dtype=jnp.float32).reshape(*batch_axes, 1, size_in) - start
    step = length / size_out
    centre = (jnp.arange(size_out, dtype=jnp.float32) + 0.5).reshape(*batch_axes, size_out, 1)
    distance = pixel + 0.5 - centre * step
    if antialias:
        distance = distance / jnp.maximum(step, 1.0)
    inside = (pixel >= 0.0) & (pixel < length)
    weights = jnp.where(inside, _kernel(distance, method), 0.0)
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


def resize(
    images: Float[Array, "batch height width channels"],
    size: int | tuple[int, int],
    method: Interpolation = "bilinear",
    antialias: bool = True,
) -> Float[Array, "batch out_height out_width channels"]:
    """Resizes whole images.

    Args:
      images: Images; values in [0, 1] where the method is bicubic, whose overshoot is clipped.
      size: (height, width), or an int for the shorter side with the aspect ratio kept.
      method: "bilinear" or "bicubic".
      antialias: Widen the kernel when shrinking, as Pillow does.

    Returns:
      The resized images.

    Raises:
      ValueError: If the size is not positive or the method is unknown.
    """
    height, width = images.shape[1:3]
    if isinstance(size, int):
        out_height, out_width = shorter_side_size(height, width, size)
    else:
        out_height, out_width = pair(size)
    if (out_height, out_width) == (height, width):
        return images
    zero = jnp.float32(0.0)
    rows = interpolation_weights(zero, jnp.float32(height), height, out_height, method, antialias)
    columns = interpolation_weights(zero, jnp.float32(width), width, out_width, method, antialias)
    return clip_overshoot(apply_separable(images, rows, columns), method)


def shorter_side_size(height: int, width: int, size: int) -> tuple[int, int]:
    """The (height, width) of an image whose shorter side is made `size`; see `pair` for errors."""
    shorter = min(height, width)
    return pair((size * height // shorter, size * width // shorter))


def clip_overshoot(
    images: Float[Array, "batch height width channels"], method: Interpolation
) -> Float[Array, "batch height width channels"]:
    """Clips to [0, 1] where the kernel has negative lobes; leaves bilinear results alone."""
    return jnp.clip(images, 0.0, 1.0) if method == "bicubic" else images
