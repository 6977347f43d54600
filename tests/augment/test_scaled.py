"""Crops at random sizes: what is seen of images, masks and boxes, and what lies beyond them."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import augment
from ssljax.augment import ViewPolicy

SIDE, COUNT, SIZES = 40, 24, (0.5, 1.0, 1.5)
POLICY = ViewPolicy(32, crop_scale=None)


@pytest.fixture(scope="module")
def scenes():
    """White rectangles on black, which touch no border, and their masks."""
    rng = np.random.default_rng(0)
    masks = np.zeros((COUNT, SIDE, SIDE), np.int32)
    for mask in masks:
        top, left, height, width = *rng.integers(2, 12, 2), *rng.integers(14, 24, 2)
        mask[top : top + height, left : left + width] = 3
    return np.repeat((85 * masks).astype(np.uint8)[..., None], 3, axis=3), masks


def made(scenes, sizes, key=3, policy=POLICY):
    images, masks = scenes
    views = jax.jit(augment.scaled_view, static_argnums=(0, 1))(
        policy, sizes, jax.random.key(key), images
    )
    seen = jax.jit(augment.scaled_masks, static_argnums=(0, 1))(
        policy, sizes, jax.random.key(key), masks
    )
    return np.asarray(views), np.asarray(seen)


def test_a_mask_lies_on_its_image_and_the_void_beyond_it(scenes):
    policy = ViewPolicy(32, crop_scale=None, mean=(0.4, 0.5, 0.6), std=(0.5, 0.5, 0.5))
    views, seen = made(scenes, SIZES, policy=policy)
    pixels = np.asarray(augment.denormalize_view(policy, jnp.asarray(views)))
    beyond = seen == -1
    # A window of 32 pixels lies beyond an image of 20, and not one of 40 or 60.
    assert 0.2 < np.mean(beyond.any(axis=(1, 2))) < 0.5
    assert set(beyond.sum(axis=(1, 2)).tolist()) == {0, 32 * 32 - 20 * 20}
    np.testing.assert_allclose(pixels[beyond] - np.array([0.4, 0.5, 0.6]), 0, atol=1e-6)
    assert (seen[~beyond & (pixels[..., 0] > 0.8)] == 3).all()
    assert (seen[~beyond & (pixels[..., 0] < 0.2)] == 0).all()
    assert (seen == 3).any(axis=(1, 2)).mean() > 0.8


def test_boxes_move_with_the_masks_of_their_things(scenes):
    masks = scenes[1]
    boxes = np.full((COUNT, 2, 5), -1, np.float32)
    boxes[:, 1] = [(*bounds(mask == 3), 3) for mask in masks]
    for size in SIZES:  # Of an enlarged pixel the nearest lies up to half of it away.
        arguments = POLICY, (size,), jax.random.key(3)
        moved = np.asarray(augment.scaled_boxes(*arguments, boxes, SIDE, SIDE))
        seen = np.asarray(augment.scaled_masks(*arguments, masks))
        assert (moved[:, 0] == -1).all()
        kept = moved[:, 1, 4] == 3
        assert kept.mean() > 0.9
        for box, mask in zip(moved[kept, 1, :4], seen[kept], strict=True):
            np.testing.assert_allclose(box, bounds(mask == 3), atol=max(size, 1.0) + 1e-3)


def bounds(mask):
    rows, columns = np.nonzero(mask)
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def test_at_its_own_size_a_view_is_a_window_of_the_image(scenes):
    images, masks = scenes
    views, seen = made(scenes, (1.0,))
    geometry = augment.scaled_geometry(POLICY, (1.0,), jax.random.key(3), COUNT, SIDE, SIDE)
    corners = np.asarray(geometry.boxes)[:, :2]
    assert set(corners.ravel().tolist()) <= set(map(float, range(9)))
    assert len(set(corners.ravel().tolist())) > 5
    for number, (top, left) in enumerate(corners.astype(int)):
        window = np.s_[top : top + 32, left : left + 32]
        image, mask = images[number][window], masks[number][window]
        if geometry.flipped[number]:
            image, mask = image[:, ::-1], mask[:, ::-1]
        np.testing.assert_allclose(views[number], image / 255, atol=1e-6)
        np.testing.assert_array_equal(seen[number], mask)


def test_enlarged_images_are_those_of_opencv():
    image = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), dtype=np.uint8)
    policy = ViewPolicy(30, crop_scale=None, flip_p=0.0)
    view = augment.scaled_view(policy, (1.5,), jax.random.key(0), image)
    expected = cv2.resize(image[0], (30, 30), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(255 * view[0], expected, atol=1.01)


@pytest.mark.parametrize("sizes", [(), (1.0, 0.0)])
def test_sizes_that_leave_nothing_are_told(scenes, sizes):
    with pytest.raises(ValueError, match="sizes of scaled crops must be above 0"):
        augment.scaled_masks(POLICY, sizes, jax.random.key(0), scenes[1])
