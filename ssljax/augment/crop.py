"""Crops: random and resized, padded and shifted, and central."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Num

from ssljax.augment.keys import between, fold_keys, uniform
from ssljax.augment.resample import (
    Interpolation,
    apply_separable,
    clip_overshoot,
    interpolation_weights,
    pair,
)

_TRIES = 10


def _central_box(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int, int, int]:
    """The box that torchvision falls back to: the largest central one with a permitted ratio."""
    box_height, box_width = height, width
    if width / height < ratio[0]:
        box_height = max(1, round(width / ratio[0]))
    elif width / height > ratio[1]:
        box_width = max(1, round(height * ratio[1]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def sample_crop_boxes(
    keys: Key[Array, " batch"],
    height: int,
    width: int,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Int[Array, "batch 4"]:
    """Samples the boxes of a random resized crop, distributed as torchvision's are.

    Ten times, an area is drawn uniformly and an aspect ratio log-uniformly; the first pair whose
    rounded box fits in the image is taken and placed uniformly. Where none fits, the box is the
    largest central one with a permitted ratio.

    Args:
      keys: One key per example.
      height: Height of the images in pixels.
      width: Width of the images in pixels.
      scale: Range of the box's area as a fraction of the image's.
      ratio: Range of width / height.

    Returns:
      Whole numbers (top, left, height, width) per example.

    Raises:
      ValueError: If a range is empty or not positive.

    Reference:
      Szegedy et al., Going Deeper with Convolutions, 2015, section 6.
    """
    for name, (low, high) in (("scale", scale), ("ratio", ratio)):
        if not 0.0 < low <= high:
            raise ValueError(f"{name} must be 0 < low <= high, got {(low, high)}.")
    draws = uniform(fold_keys(keys, 0), 2 * _TRIES)
    area_draw, ratio_draw = draws[:, :_TRIES], draws[:, _TRIES:]
    area = height * width * between(area_draw, scale)
    aspect = jnp.exp(between(ratio_draw, (math.log(ratio[0]), math.log(ratio[1]))))
    heights = jnp.round(jnp.sqrt(area / aspect)).astype(jnp.int32)
    widths = jnp.round(jnp.sqrt(area * aspect)).astype(jnp.int32)
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)

    first = jnp.argmax(fits, axis=1, keepdims=True)
    box_height = jnp.take_along_axis(heights, first, axis=1)
    box_width = jnp.take_along_axis(widths, first, axis=1)
    room = jnp.concatenate([height - box_height, width - box_width], axis=1)
    placed = jax.vmap(lambda key, limit: jax.random.randint(key, (2,), 0, limit))
    # Where nothing fits, the room may be negative; those boxes are replaced below.
    corner = placed(fold_keys(keys, 1), jnp.maximum(room, 0) + 1)
    boxes = jnp.concatenate([corner, box_height, box_width], axis=1)
    fallback = jnp.asarray(_central_box(height, width, ratio), jnp.int32)[None]
    return jnp.where(jnp.any(fits, axis=1, keepdims=True), boxes, fallback)


def crop_and_resize(
    images: Float[Array, "batch height width channels"],
    boxes: Int[Array, "batch 4"],
    size: int | tuple[int, int],
    method: Interpolation = "bilinear",
    antialias: bool = True,
) -> Float[Array, "batch out_height out_width channels"]:
    """Cuts a box out of each image and resizes it, as Pillow's `crop` and `resize` do.

    Args:
      images: Images in [0, 1].
      boxes: (top, left, height, width) in pixels, inside the image.
      size: (height, width) of the result; an int means a square.
      method: "bilinear" or "bicubic"; the overshoot of bicubic is clipped to [0, 1].
      antialias: Widen the kernel when shrinking.

    Returns:
      The crops.

    Raises:
      ValueError: If the size is not positive or the method is unknown.
    """
    out_height, out_width = pair(size)
    height, width = images.shape[1:3]
    top, left, box_height, box_width = (boxes[:, i].astype(jnp.float32) for i in range(4))
    rows = interpolation_weights(top, box_height, height, out_height, method, antialias)
    columns = interpolation_weights(left, box_width, width, out_width, method, antialias)
    return clip_overshoot(apply_separable(images, rows, columns), method)


def random_resized_crop(
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    size: int | tuple[int, int],
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    method: Interpolation = "bilinear",
    antialias: bool = True,
) -> Float[Array, "batch out_height out_width channels"]:
    """Cuts a random box out of each image and resizes it.

    Args:
      keys: One key per example.
      images: Images in [0, 1].
      size: (height, width) of the result; an int means a square.
      scale: Range of the box's area as a fraction of the image's.
      ratio: Range of the box's width / height.
      method: "bilinear" or "bicubic".
      antialias: Widen the kernel when shrinking.

    Returns:
      The crops, in [0, 1].

    Raises:
      ValueError: If a range is empty, the size is not positive or the method is unknown.

    Reference:
      Szegedy et al., Going Deeper with Convolutions, 2015, section 6.
    """
    boxes = sample_crop_boxes(keys, images.shape[1], images.shape[2], scale, ratio)
    return crop_and_resize(images, boxes, size, method, antialias)


def sample_shifts(keys: Key[Array, " batch"], padding: int) -> Int[Array, "batch 2"]:
    """Samples the shifts of `random_crop_with_padding`.

    Args:
      keys: One key per example.
      padding: The largest shift, in pixels.

    Returns:
      How far the window lies below and right of the image.

    Raises:
      ValueError: If the padding is negative.
    """
    if padding < 0:
        raise ValueError(f"padding must not be negative, got {padding}.")
    draw = jax.vmap(lambda key: jax.random.randint(key, (2,), -padding, padding + 1))
    return draw(keys)


def random_crop_with_padding(
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    padding: int,
) -> Float[Array, "batch height width channels"]:
    """Pads each image with zeros on all sides and cuts a random window of the old size.

    Args:
      keys: One key per example.
      images: Images of any range.
      padding: Pixels added on each side; 4 in the recipes for CIFAR.

    Returns:
      The shifted images.

    Raises:
      ValueError: If the padding is negative.

    Reference:
      He et al., Deep Residual Learning for Image Recognition, 2016, section 4.2.
    """
    if padding == 0:
        return images
    shift = sample_shifts(keys, padding)

    def select(size: int, offset: Int[Array, " batch"]) -> Float[Array, "batch out in"]:
        # A row whose source lies in the padding selects nothing, which is the zero wanted.
        source = jnp.arange(size)[None, :] + offset[:, None]
        return jax.nn.one_hot(source, size, dtype=images.dtype)

    rows, columns = select(images.shape[1], shift[:, 0]), select(images.shape[2], shift[:, 1])
    return apply_separable(images, rows, columns)


def center_crop(
    images: Num[Array, "batch height width channels"], size: int | tuple[int, int]
) -> Num[Array, "batch out_height out_width channels"]:
    """Cuts the central window out of each image.

    Args:
      images: Images of any range and type.
      size: (height, width) of the window in pixels; an int means a square.

    Returns:
      The windows.

    Raises:
      ValueError: If the window is larger than the image.
    """
    out_height, out_width = pair(size)
    height, width = images.shape[1:3]
    if out_height > height or out_width > width:
        raise ValueError(
            f"a {out_height}x{out_width} window does not fit in a {height}x{width} image."
        )
    top, left = center_offsets(height, width, out_height, out_width)
    return images[:, top : top + out_height, left : left + out_width]


def center_offsets(height: int, width: int, out_height: int, out_width: int) -> tuple[int, int]:
    """The (top, left) of the central window of an image, in pixels."""
    return round((height - out_height) / 2), round((width - out_width) / 2)
