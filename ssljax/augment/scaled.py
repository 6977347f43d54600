"""Crops of images at random sizes, of masks and boxes: the views of segmentation and detection."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Num

from ssljax.augment.aligned import Geometry, cut_masks, move_boxes
from ssljax.augment.keys import bernoulli, example_keys, fold_keys, uniform
from ssljax.augment.pixels import to_float
from ssljax.augment.policy import ViewPolicy
from ssljax.augment.resample import apply_separable
from ssljax.augment.views import CROP, FLIP, after_crop


def scaled_geometry(
    policy: ViewPolicy,
    sizes: Sequence[float],
    key: Key[Array, ""],
    batch: int,
    height: int,
    width: int,
) -> Geometry:
    """Where `scaled_view` takes the views of a batch from.

    Args:
      policy: The policy of the view.
      sizes: Factors of the image's sides, of which one is drawn for each image.
      key: The key of the view.
      batch: Number of images.
      height: Height of the images in pixels.
      width: Width of the images in pixels.

    Returns:
      The geometry of each view. A box lies at a whole pixel of the scaled image. Where that is
      smaller than the view, the box begins with it and reaches beyond it at the bottom and right.

    Raises:
      ValueError: If there are no sizes, or one is not above 0.
    """
    if not sizes or min(sizes) <= 0:
        raise ValueError(f"the sizes of scaled crops must be above 0, got {tuple(sizes)}.")
    keys = example_keys(key, batch)
    draws = uniform(fold_keys(keys, CROP), 3)
    factors = jnp.asarray(sizes, jnp.float32)
    factor = factors[jnp.floor(draws[:, 0] * len(sizes)).astype(jnp.int32)]
    sides = jnp.asarray([height, width], jnp.float32)[None] * factor[:, None]
    room = jnp.maximum(jnp.floor(sides) - policy.size, 0.0)
    corners = jnp.floor(draws[:, 1:] * (room + 1.0)) / factor[:, None]
    seen = jnp.broadcast_to((policy.size / factor)[:, None], corners.shape)
    boxes = jnp.concatenate([corners, seen], axis=1)
    if policy.flip_p == 0.0:
        return Geometry(boxes, jnp.zeros(batch, bool))
    return Geometry(boxes, bernoulli(fold_keys(keys, FLIP), policy.flip_p))


def scaled_view(
    policy: ViewPolicy,
    sizes: Sequence[float],
    key: Key[Array, ""],
    images: Num[Array | np.ndarray, "batch height width channels"],
) -> Float[Array, "batch size size channels"]:
    """Scales each image by one of some factors, cuts a window out, and goes on as the policy says.

    What lies beyond the image is the policy's mean, so 0 where it normalises, as in DeepLab. Unlike
    there, what is made smaller is smoothed.

    Args:
      policy: Size of the window, flip, colours and normalisation; its own crop is not read.
      sizes: As for `scaled_geometry`.
      key: The key of the view.
      images: Images as bytes (uint8).

    Returns:
      The views, in [0, 1] unless the policy normalises.

    Raises:
      ValueError: If the images are not bytes, or the sizes are impossible.

    Reference:
      Chen et al., DeepLab (arXiv:1606.00915), 2017, section 4.1; `libs/datasets/base.py` of
      kazuto1011/deeplab-pytorch.
    """
    pixels = to_float(images)
    batch, height, width, channels = pixels.shape
    boxes, _ = scaled_geometry(policy, sizes, key, batch, height, width)
    rows, no_row = _window(boxes[:, 0], boxes[:, 2], height, policy.size)
    columns, no_column = _window(boxes[:, 1], boxes[:, 3], width, policy.size)
    mean = jnp.asarray(policy.mean or (0.0,) * channels, jnp.float32)
    beyond = (no_row[:, :, None] | no_column[:, None])[..., None]
    cut = jnp.where(beyond, mean[None, None, None], apply_separable(pixels, rows, columns))
    return after_crop(policy, example_keys(key, batch), cut)


def scaled_masks(
    policy: ViewPolicy,
    sizes: Sequence[float],
    key: Key[Array, ""],
    masks: Int[Array | np.ndarray, "batch height width"],
) -> Int[Array, "batch size size"]:
    """Makes the masks of the views that `scaled_view` makes with the same arguments.

    Args:
      policy: The policy of the view.
      sizes: As for `scaled_geometry`.
      key: The key of the view.
      masks: A class for each pixel of the images.

    Returns:
      The class of the nearest pixel; -1 beyond the image.
    """
    geometry = scaled_geometry(policy, sizes, key, *masks.shape)
    return cut_masks(geometry, policy.size, masks)


def scaled_boxes(
    policy: ViewPolicy,
    sizes: Sequence[float],
    key: Key[Array, ""],
    boxes: Float[Array | np.ndarray, "batch count 5"],
    height: int,
    width: int,
) -> Float[Array, "batch count 5"]:
    """Moves boxes to where the views that `scaled_view` makes show what they hold.

    Args:
      policy: The policy of the view.
      sizes: As for `scaled_geometry`.
      key: The key of the view.
      boxes: (top, left, bottom, right, class) in pixels of the images; class -1 for no box.
      height: Height of the images in pixels.
      width: Width of the images in pixels.

    Returns:
      The same in pixels of the views, as `cut_boxes` leaves them.
    """
    geometry = scaled_geometry(policy, sizes, key, boxes.shape[0], height, width)
    return move_boxes(geometry, policy.size, boxes)


def _window(
    start: Float[Array, " batch"], length: Float[Array, " batch"], size_in: int, size_out: int
) -> tuple[Float[Array, "batch {size_out} {size_in}"], Array]:
    """Weights of an axis' pixels in each pixel of a window, and which of these lie beyond it."""
    step = length[:, None] / size_out
    places = (jnp.arange(size_out, dtype=jnp.float32) + 0.5)[None] * step + start[:, None]
    pixels = (jnp.arange(size_in, dtype=jnp.float32) + 0.5)[None, None]
    # Past the centre of the last pixel the last pixel goes on.
    inner = jnp.clip(places, 0.5, size_in - 0.5)
    distance = (pixels - inner[:, :, None]) / jnp.maximum(step, 1.0)[:, :, None]
    weights = jnp.maximum(1.0 - jnp.abs(distance), 0.0)
    weights = weights / jnp.sum(weights, axis=2, keepdims=True)
    return weights, jnp.floor(places) >= size_in
