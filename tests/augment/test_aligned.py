"""Images, masks and boxes are seen at one place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import augment
from ssljax.augment import ViewPolicy

_SIDE = 40
_COUNT = 24


@pytest.fixture(scope="module")
def scenes():
    """White rectangles on black, their masks, and their boxes."""
    generator = np.random.default_rng(0)
    masks = np.zeros((_COUNT, _SIDE, _SIDE), np.int32)
    boxes = np.full((_COUNT, 3, 5), -1, np.float32)
    for i in range(_COUNT):
        top, left = generator.integers(2, 20, 2)
        height, width = generator.integers(10, 18, 2)
        masks[i, top : top + height, left : left + width] = 3
        boxes[i, 1] = top, left, top + height, left + width, 3
    images = np.repeat((85 * masks).astype(np.uint8)[..., None], 3, axis=3)
    return images, masks, boxes


_POLICIES = {
    "crop": ViewPolicy(24, crop_scale=(0.2, 1.0)),
    "enlarged": ViewPolicy(56, crop_scale=(0.2, 0.6), flip_p=1.0),
    "whole": ViewPolicy(_SIDE, crop_scale=None, flip_p=0.0),
    "padded": ViewPolicy(_SIDE, crop_scale=None, crop_padding=9),
    "resized": ViewPolicy(20, crop_scale=None, crop_padding=4),
}


@pytest.mark.parametrize("name", _POLICIES)
def test_a_mask_lies_on_its_image(scenes, name):
    images, masks, _ = scenes
    policy, key = _POLICIES[name], jax.random.key(3)
    views = np.asarray(augment.augment_view(policy, key, images))[..., 0]
    seen = np.asarray(jax.jit(augment.view_masks, static_argnums=0)(policy, key, masks))
    assert seen.shape == views.shape
    assert (seen[views > 0.8] == 3).all()
    assert (seen[(views < 0.2)] <= 0).all()
    assert (views > 0.8).any()
    assert ((seen == -1).any()) == (name in ("padded", "resized"))


def _bounds(mask):
    rows, columns = np.nonzero(mask)
    return np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])


@pytest.mark.parametrize("name", _POLICIES)
def test_a_box_lies_about_its_mask(scenes, name):
    _, masks, boxes = scenes
    policy, key = _POLICIES[name], jax.random.key(3)
    seen = np.asarray(augment.view_masks(policy, key, masks))
    moved = np.asarray(augment.view_boxes(policy, key, boxes, _SIDE, _SIDE))
    assert (moved[:, [0, 2]] == -1).all()
    kept = moved[:, 1, 4] == 3
    assert kept.any()
    for box, mask, is_kept in zip(moved[:, 1, :4], seen, kept, strict=True):
        if is_kept:
            # Of an enlarged pixel the nearest lies up to half of it away.
            np.testing.assert_allclose(box, _bounds(mask == 3), atol=1.5)
        else:
            assert (box == -1).all()


def test_the_same_key_gives_the_same_geometry_as_the_crop():
    policy, key = ViewPolicy(8, crop_scale=(0.1, 0.5)), jax.random.key(1)
    geometry = augment.view_geometry(policy, key, 100, 30, 50)
    top, left, height, width = np.asarray(geometry.boxes).T
    assert (top + height <= 30).all()
    assert (left + width <= 50).all()
    assert 0.3 < np.mean(geometry.flipped) < 0.7


def test_a_box_of_which_little_is_left_is_dropped():
    boxes = jnp.array([[[0, -91, 10, 9], [0, -89, 10, 11], [0, 0, 0.9, 50], [5, 5, 9, 9]]], float)
    cut = np.asarray(augment.cut_boxes(boxes, jnp.array([[1.0, 2.0, 3.0, -1.0]]), 100, 100))[0]
    np.testing.assert_array_equal(cut[:, 4], [-1, 2, -1, -1])
    np.testing.assert_array_equal(cut[1, :4], [0, 0, 10, 11])
    assert (cut[[0, 2, 3]] == -1).all()


def test_a_warp_moves_images_masks_and_boxes_alike(scenes):
    images, masks, boxes = scenes
    keys = augment.example_keys(jax.random.key(0), _COUNT)
    settings = (_SIDE, _SIDE, 25.0, (0.1, 0.1), (0.8, 1.2))
    matrices = augment.sample_affine(keys, *settings)
    views = np.asarray(augment.warp(augment.to_float(images), matrices))
    np.testing.assert_array_equal(
        views, augment.random_affine(keys, augment.to_float(images), *settings[2:])
    )
    seen = np.asarray(jax.jit(augment.warp_masks)(jnp.asarray(masks), matrices))
    assert (seen[views[..., 0] > 0.9] == 3).all()
    assert (seen[views[..., 0] < 0.1] <= 0).all()
    assert (seen == -1).any()
    moved = np.asarray(augment.warp_boxes(jnp.asarray(boxes), matrices, _SIDE, _SIDE))
    kept = moved[:, 1, 4] == 3
    assert kept.sum() > _COUNT // 2
    for box, mask in zip(moved[kept, 1, :4], seen[kept], strict=True):
        np.testing.assert_allclose(box, _bounds(mask == 3), atol=1.5)


def test_no_warp_is_no_change(scenes):
    _, masks, boxes = scenes
    same = jnp.broadcast_to(jnp.eye(3), (_COUNT, 3, 3))
    np.testing.assert_array_equal(augment.warp_masks(jnp.asarray(masks), same), masks)
    np.testing.assert_allclose(
        augment.warp_boxes(jnp.asarray(boxes), same, _SIDE, _SIDE), boxes, atol=1e-4
    )
