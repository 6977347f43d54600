"""Masks and boxes that follow their images: one geometry for all that belongs to an image.

Where an image goes is a function of the policy and the key. With those that made the view, the
functions here bring masks and boxes to the same place.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from ssljax.augment.crop import center_offsets, sample_crop_boxes, sample_shifts
from ssljax.augment.keys import bernoulli, example_keys, fold_keys
from ssljax.augment.policy import ViewPolicy
from ssljax.augment.resample import shorter_side_size
from ssljax.augment.views import CROP, FLIP

NOTHING = -1
"""A pixel of no class, and a box that is not there, as in `ssljax.data.fields`."""

_LEAST_SHARE = 0.1


class Geometry(NamedTuple):
    """Where the views of a batch come from.

    Attributes:
      boxes: (top, left, height, width) of what is seen, in pixels of the image; may reach beyond
        it where the policy pads.
      flipped: Whether it is mirrored.
    """

    boxes: Float[Array, "batch 4"]
    flipped: Bool[Array, " batch"]


def view_geometry(
    policy: ViewPolicy, key: Key[Array, ""], batch: int, height: int, width: int
) -> Geometry:
    """Where `augment_view` takes the views of a batch from.

    Args:
      policy: The policy of the view.
      key: The key of the view.
      batch: Number of images.
      height: Height of the images in pixels.
      width: Width of the images in pixels.

    Returns:
      The geometry of each view.
    """
    keys = example_keys(key, batch)
    crop_keys = fold_keys(keys, CROP)
    if policy.crop_scale is not None:
        boxes = sample_crop_boxes(crop_keys, height, width, policy.crop_scale, policy.crop_ratio)
        boxes = boxes.astype(jnp.float32)
    else:
        resized = shorter_side_size(height, width, policy.size)
        scale = jnp.asarray([height / resized[0], width / resized[1]], jnp.float32)
        offsets = jnp.asarray(center_offsets(*resized, policy.size, policy.size), jnp.float32)
        shifts = sample_shifts(crop_keys, policy.crop_padding).astype(jnp.float32)
        corners = (offsets[None] + shifts) * scale[None]
        sides = jnp.broadcast_to(policy.size * scale[None], corners.shape)
        boxes = jnp.concatenate([corners, sides], axis=1)
    if policy.flip_p == 0.0:
        return Geometry(boxes, jnp.zeros(batch, bool))
    return Geometry(boxes, bernoulli(fold_keys(keys, FLIP), policy.flip_p))


def view_masks(
    policy: ViewPolicy,
    key: Key[Array, ""],
    masks: Int[Array | np.ndarray, "batch height width"],
) -> Int[Array, "batch size size"]:
    """Makes the masks of the views that `augment_view` makes with the same policy and key.

    Args:
      policy: The policy of the view.
      key: The key of the view.
      masks: A class for each pixel of the images.

    Returns:
      The class of the nearest pixel; -1 where the view reaches beyond its image.
    """
    return cut_masks(view_geometry(policy, key, *masks.shape), policy.size, masks)


def cut_masks(
    geometry: Geometry, size: int, masks: Int[Array | np.ndarray, "batch height width"]
) -> Int[Array, "batch size size"]:
    """Makes the masks of views.

    Args:
      geometry: Where the views come from.
      size: Side of the views in pixels.
      masks: A class for each pixel of the images.

    Returns:
      The class of the nearest pixel; -1 where a view reaches beyond its image.
    """
    _, height, width = masks.shape
    boxes, flipped = geometry
    places = (jnp.arange(size, dtype=jnp.float32) + 0.5)[None] / size
    rows = jnp.floor(boxes[:, 0, None] + places * boxes[:, 2, None]).astype(jnp.int32)
    columns = jnp.floor(boxes[:, 1, None] + places * boxes[:, 3, None]).astype(jnp.int32)
    columns = jnp.where(flipped[:, None], columns[:, ::-1], columns)
    inside = ((rows >= 0) & (rows < height))[:, :, None]
    inside &= ((columns >= 0) & (columns < width))[:, None]
    values = jnp.take_along_axis(
        jnp.asarray(masks), jnp.clip(rows, 0, height - 1)[:, :, None], axis=1
    )
    values = jnp.take_along_axis(values, jnp.clip(columns, 0, width - 1)[:, None], axis=2)
    return jnp.where(inside, values, NOTHING)


def view_boxes(
    policy: ViewPolicy,
    key: Key[Array, ""],
    boxes: Float[Array | np.ndarray, "batch count 5"],
    height: int,
    width: int,
) -> Float[Array, "batch count 5"]:
    """Moves boxes to where `augment_view` takes what they hold, with the same policy and key.

    Args:
      policy: The policy of the view.
      key: The key of the view.
      boxes: (top, left, bottom, right, class) in pixels of the images; class -1 for no box.
      height: Height of the images in pixels.
      width: Width of the images in pixels.

    Returns:
      The same in pixels of the views, cut off at their borders; rows of -1 for what was no box
      and for boxes of which less than a tenth or no whole pixel is left.
    """
    geometry = view_geometry(policy, key, boxes.shape[0], height, width)
    return move_boxes(geometry, policy.size, boxes)


def move_boxes(
    geometry: Geometry, size: int, boxes: Float[Array | np.ndarray, "batch count 5"]
) -> Float[Array, "batch count 5"]:
    """Moves boxes to where views show what they hold.

    Args:
      geometry: Where the views come from.
      size: Side of the views in pixels.
      boxes: (top, left, bottom, right, class) in pixels of the images; class -1 for no box.

    Returns:
      As `cut_boxes`, in pixels of the views.
    """
    boxes = jnp.asarray(boxes)
    seen, flipped = geometry
    corner, sides = seen[:, None, :2], seen[:, None, 2:]
    scale = size / sides
    first, last = (boxes[..., :2] - corner) * scale, (boxes[..., 2:4] - corner) * scale
    flip = flipped[:, None]
    left = jnp.where(flip, size - last[..., 1], first[..., 1])
    right = jnp.where(flip, size - first[..., 1], last[..., 1])
    moved = jnp.stack([first[..., 0], left, last[..., 0], right], axis=-1)
    return cut_boxes(moved, boxes[..., 4], size, size)


def cut_boxes(
    boxes: Float[Array, "batch count 4"],
    classes: Float[Array, "batch count"],
    height: int,
    width: int,
) -> Float[Array, "batch count 5"]:
    """Cuts boxes off at the borders of their images, and drops those that are hardly left.

    Args:
      boxes: (top, left, bottom, right) in pixels.
      classes: Their classes, -1 for no box.
      height: Height of the images in pixels.
      width: Width of the images in pixels.

    Returns:
      (top, left, bottom, right, class); rows of -1 for what was no box and for boxes of which
      less than a tenth or no whole pixel is left.
    """
    most = jnp.asarray([height, width, height, width], boxes.dtype)
    cut = jnp.clip(boxes, 0.0, most[None, None])
    sides, before = cut[..., 2:] - cut[..., :2], boxes[..., 2:] - boxes[..., :2]
    area = sides[..., 0] * sides[..., 1]
    kept = (classes >= 0.0) & jnp.all(sides >= 1.0, axis=-1)
    kept &= area >= _LEAST_SHARE * before[..., 0] * before[..., 1]
    result = jnp.concatenate([cut, classes[..., None]], axis=-1)
    return jnp.where(kept[..., None], result, float(NOTHING))


def warp_masks(
    masks: Int[Array, "batch height width"], matrices: Float[Array, "batch 3 3"]
) -> Int[Array, "batch height width"]:
    """Warps masks as `warp` warps their images.

    Args:
      masks: A class for each pixel.
      matrices: As for `warp`.

    Returns:
      The class of the nearest pixel; -1 outside the image.
    """
    batch, height, width = masks.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pixels = jnp.asarray(np.stack([x, y, np.ones_like(x)]))
    mapped = jnp.sum(matrices[:, :, :, None, None] * pixels[None, None], axis=2)
    # One pixel outside the frame is as good as any number of them, and safe to turn to integers.
    column = jnp.round(jnp.clip(mapped[:, 0] / mapped[:, 2], -1.0, width)).astype(jnp.int32)
    row = jnp.round(jnp.clip(mapped[:, 1] / mapped[:, 2], -1.0, height)).astype(jnp.int32)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = jnp.where(inside, row * width + column, 0).reshape(batch, -1)
    values = jnp.take_along_axis(masks.reshape(batch, -1), index, axis=1)
    return jnp.where(inside, values.reshape(masks.shape), NOTHING)


def warp_boxes(
    boxes: Float[Array, "batch count 5"],
    matrices: Float[Array, "batch 3 3"],
    height: int,
    width: int,
) -> Float[Array, "batch count 5"]:
    """Moves boxes as `warp` moves what they hold, to the smallest boxes about their corners.

    Args:
      boxes: (top, left, bottom, right, class) in pixels; class -1 for no box.
      matrices: As for `warp`, invertible.
      height: Height of the images in pixels.
      width: Width of the images in pixels.

    Returns:
      As `cut_boxes`.
    """
    top, left, bottom, right = (boxes[..., i] for i in range(4))
    # A pixel's centre lies at a whole number for the matrices, and half a pixel further for boxes.
    x = jnp.stack([left, right, left, right], axis=-1) - 0.5
    y = jnp.stack([top, top, bottom, bottom], axis=-1) - 0.5
    corners = jnp.stack([x, y, jnp.ones_like(x)], axis=-1)
    inverse = jnp.linalg.inv(matrices)
    moved = jnp.sum(inverse[:, None, None] * corners[..., None, :], axis=-1)
    x, y = moved[..., 0] / moved[..., 2] + 0.5, moved[..., 1] / moved[..., 2] + 0.5
    around = jnp.stack([y.min(-1), x.min(-1), y.max(-1), x.max(-1)], axis=-1)
    return cut_boxes(around, boxes[..., 4], height, width)
