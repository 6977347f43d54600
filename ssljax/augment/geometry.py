"""Flips and warps."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ssljax.augment.keys import bernoulli, between, check_probability, uniform
from ssljax.augment.planar import choose, from_planar, to_planar


def random_flip(
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    p: float = 0.5,
) -> Float[Array, "batch height width channels"]:
    """Mirrors a random part of the images left to right.

    Args:
      keys: One key per example.
      images: Images of any range.
      p: Probability that an image is mirrored.

    Returns:
      The images.

    Raises:
      ValueError: If the probability is impossible.
    """
    check_probability(p)
    if p == 0.0:
        return images
    planes = to_planar(images)
    return from_planar(choose(bernoulli(keys, p), planes[..., ::-1], planes))


def warp(
    images: Float[Array, "batch height width channels"],
    matrices: Float[Array, "batch 3 3"],
    fill: float = 0.0,
    border: str = "constant",
) -> Float[Array, "batch height width channels"]:
    """Warps each image by an affine map or a homography, with bilinear sampling.

    Args:
      images: Images of any range.
      matrices: For each image the map from a pixel (x, y, 1) of the result to the place in the
        image it is read from. Pixel centres lie at whole numbers. The third coordinate must
        not vanish inside the frame.
      fill: Value of everything outside the image, where the border is constant.
      border: "constant", or "reflect": the image goes on as its mirror image, again and again,
        without its outermost pixels being repeated.

    Returns:
      The warped images, of the same size.

    Raises:
      ValueError: If the border is unknown.
    """
    if border not in ("constant", "reflect"):
        raise ValueError(f"border must be 'constant' or 'reflect', got {border!r}.")
    height, width = images.shape[1:3]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pixels = jnp.asarray(np.stack([x, y, np.ones_like(x)]))
    # Elementwise rather than a matrix product, whose default precision would shift the pixels.
    mapped = jnp.sum(matrices[:, :, :, None, None] * pixels[None, None], axis=2)
    source_x, source_y = mapped[:, 0] / mapped[:, 2], mapped[:, 1] / mapped[:, 2]
    if border == "reflect":
        source_x, source_y = reflect(source_x, width), reflect(source_y, height)
    return sample(images, source_x, source_y, fill)


def sample(
    images: Float[Array, "batch height width channels"],
    x: Float[Array, "batch rows columns"],
    y: Float[Array, "batch rows columns"],
    fill: float = 0.0,
) -> Float[Array, "batch rows columns channels"]:
    """Reads each image at given places, with bilinear sampling.

    Args:
      images: Images of any range.
      x: Places from left to right; pixel centres lie at whole numbers.
      y: Places from top to bottom, likewise.
      fill: Value of everything outside the image.

    Returns:
      What is read.
    """
    batch, height, width, channels = images.shape
    # All points outside the frame are alike: one pixel outside is safe to convert to integers.
    x, y = jnp.clip(x, -1.0, width), jnp.clip(y, -1.0, height)
    left, top = jnp.floor(x), jnp.floor(y)
    flat = images.reshape(batch, height * width, channels)

    result = jnp.zeros((*x.shape, channels), images.dtype)
    for down in (0.0, 1.0):
        for right in (0.0, 1.0):
            column, row = left + right, top + down
            weight = (1.0 - jnp.abs(x - column)) * (1.0 - jnp.abs(y - row))
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = jnp.where(inside, row * width + column, 0.0).astype(jnp.int32)
            values = jnp.take_along_axis(flat, index.reshape(batch, -1, 1), axis=1)
            values = jnp.where(inside[..., None], values.reshape(result.shape), fill)
            result = result + weight[..., None] * values
    return result


def reflect(places: Float[Array, "*shape"], size: int) -> Float[Array, "*shape"]:
    """Folds places on a line into [0, size - 1], mirrored at the outermost pixels.

    Args:
      places: Of any value.
      size: Pixels of the line.

    Returns:
      Places on the line.
    """
    if size == 1:
        return jnp.zeros_like(places)
    period = 2.0 * (size - 1)
    along = jnp.mod(places, period)
    return jnp.minimum(along, period - along)


def affine_matrices(
    degrees: Float[Array, " batch"],
    shift: Float[Array, "batch 2"],
    scale: Float[Array, " batch"],
    height: int,
    width: int,
    shear: Float[Array, " batch"] | None = None,
) -> Float[Array, "batch 3 3"]:
    """Matrices for `warp` that shear, turn, zoom and then shift an image about its centre.

    Args:
      degrees: Angle, counter-clockwise as seen.
      shift: Shift (right, down) in pixels.
      scale: Zoom; 2 makes things twice as large.
      height: Height of the images in pixels.
      width: Width of the images in pixels.
      shear: Angle in degrees, between -90 and 90, by which what stands upright is turned
        clockwise as seen, at its old length, while what lies level stays; None for no shear.

    Returns:
      One matrix per example.
    """
    shear = jnp.zeros_like(degrees) if shear is None else jnp.deg2rad(shear)
    angle = jnp.deg2rad(degrees)
    zoom = scale * jnp.cos(shear)
    cosine, sine = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    sheared_cosine, sheared_sine = jnp.cos(angle - shear) / zoom, jnp.sin(angle - shear) / zoom
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x, y = centre_x + shift[:, 0], centre_y + shift[:, 1]
    zero, one = jnp.zeros_like(scale), jnp.ones_like(scale)
    rows = [
        [sheared_cosine, -sheared_sine, centre_x - sheared_cosine * x + sheared_sine * y],
        [sine, cosine, centre_y - sine * x - cosine * y],
        [zero, zero, one],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def random_affine(
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    degrees: float,
    translate: tuple[float, float] = (0.0, 0.0),
    scale: tuple[float, float] = (1.0, 1.0),
    fill: float = 0.0,
) -> Float[Array, "batch height width channels"]:
    """Turns, zooms and shifts each image at random about its centre.

    Args:
      keys: One key per example.
      images: Images of any range.
      degrees: Largest angle, either way.
      translate: Largest shift, either way, as fractions of the width and of the height.
      scale: Range of the zoom.
      fill: Value of everything outside the image.

    Returns:
      The images, of the same size.

    Raises:
      ValueError: If an amount is negative or the range of the zoom is empty.
    """
    height, width = images.shape[1:3]
    return warp(images, sample_affine(keys, height, width, degrees, translate, scale), fill)


def sample_affine(
    keys: Key[Array, " batch"],
    height: int,
    width: int,
    degrees: float,
    translate: tuple[float, float] = (0.0, 0.0),
    scale: tuple[float, float] = (1.0, 1.0),
) -> Float[Array, "batch 3 3"]:
    """Samples the matrices of `random_affine`, for images and what belongs to them.

    Args:
      keys: One key per example.
      height: Height of the images in pixels.
      width: Width of the images in pixels.
      degrees: As for `random_affine`; so too the rest.
      translate: Likewise.
      scale: Likewise.

    Returns:
      One matrix per example.

    Raises:
      ValueError: If an amount is negative or the range of the zoom is empty.
    """
    if degrees < 0.0 or min(translate) < 0.0:
        raise ValueError(f"degrees and translate must not be negative: {degrees}, {translate}.")
    if not 0.0 < scale[0] <= scale[1]:
        raise ValueError(f"scale must be 0 < low <= high, got {scale}.")
    draws = uniform(keys, 4)
    sides = 2.0 * draws[:, :3] - 1.0
    reach = jnp.asarray([translate[0] * width, translate[1] * height], jnp.float32)
    zoom = between(draws[:, 3], scale)
    return affine_matrices(degrees * sides[:, 0], sides[:, 1:] * reach[None], zoom, height, width)
