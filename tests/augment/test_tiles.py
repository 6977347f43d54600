"""Tiles, against slicing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import collective_sizes, on_eight_devices

from ssljax import augment


def numbered(batch, height, width, channels=3):
    """Images in which every value is different."""
    count = batch * height * width * channels
    return jnp.arange(count, dtype=jnp.float32).reshape(batch, height, width, channels)


def keys(count, seed=0):
    return augment.example_keys(jax.random.key(seed), count)


def test_tiles_are_cut_where_their_corners_are():
    images = numbered(3, 20, 24)
    corners = jnp.asarray(np.random.default_rng(0).integers(0, 12, (3, 4, 2)), jnp.int32)
    shifts = jnp.asarray(np.random.default_rng(1).integers(0, 3, (3, 4, 3, 2)), jnp.int32)
    plain = augment.cut_tiles(images, corners, 6)
    shifted = augment.cut_tiles(images, corners, 6, shifts)
    for b, t in np.ndindex(3, 4):
        top, left = map(int, corners[b, t])
        np.testing.assert_array_equal(plain[b, t], images[b, top : top + 6, left : left + 6])
        for c in range(3):
            y, x = top + int(shifts[b, t, c, 0]), left + int(shifts[b, t, c, 1])
            np.testing.assert_array_equal(
                shifted[b, t, :, :, c], images[b, y : y + 6, x : x + 6, c]
            )


def test_tiles_lie_in_their_cells_and_everywhere_in_them():
    corners = np.asarray(augment.cell_corners(keys(2000), 3, 10, 7, room=1))
    offsets = corners - 10 * np.stack(np.divmod(np.arange(9), 3), axis=1)[None]
    counts = np.stack([np.sum(offsets == value, axis=(0, 2)) for value in range(3)])
    assert counts.sum() == offsets.size  # From 0 to 2, and the room is left.
    # Each of 3 values in a third of 4,000 draws, within 5 deviations.
    assert np.abs(counts - 4000 / 3).max() < 5 * np.sqrt(4000 * 2 / 9)
    middle = augment.cell_corners(None, 2, 10, 6)
    np.testing.assert_array_equal(middle[0], [[2, 2], [2, 12], [12, 2], [12, 12]])
    with pytest.raises(ValueError, match="a tile of 11 pixels does not fit in a cell of 10"):
        augment.cell_corners(None, 3, 10, 9, room=2)


def test_patches_keep_their_gap_but_for_the_jitter():
    cells, tile, gap, jitter = 3, 8, 5, 2
    corners = np.asarray(augment.grid_corners(keys(500), cells, tile, gap, jitter))
    grid = corners.reshape(500, cells, cells, 2)
    between = np.diff(grid[..., 1], axis=2) - tile
    assert between.min() == gap - 2 * jitter
    assert between.max() == gap + 2 * jitter
    assert corners.min() == 0
    assert corners.max() + tile == augment.grid_side(cells, tile, gap, jitter)


def test_grids_lie_anywhere_in_the_image():
    boxes = np.asarray(augment.sample_grid_boxes(keys(500), 40, 50, 28))
    assert np.all(boxes[:, 2:] == 28)
    np.testing.assert_array_equal(boxes[:, :2].min(axis=0), [0, 0])
    np.testing.assert_array_equal(boxes[:, :2].max(axis=0), [12, 22])
    with pytest.raises(ValueError, match="a grid of 41 pixels does not fit in images of 40x50"):
        augment.sample_grid_boxes(keys(1), 40, 50, 41)


def test_grids_are_as_large_as_in_images_of_a_random_area():
    boxes = np.asarray(augment.sample_grid_boxes(keys(4000), 400, 400, 300, (100000.0, 360000.0)))
    assert np.all(boxes[:, 2] == boxes[:, 3])
    assert np.all((boxes[:, :2] >= 0) & (boxes[:, :2] + boxes[:, 2:] <= 400))
    # 300 pixels of a side of sqrt(area), in an image of 400.
    area = (400 * 300 / boxes[:, 2]) ** 2
    assert area.max() < 364000
    assert np.mean(area) == pytest.approx(230000, rel=0.02)
    # Of the images too small for the grid, none: sqrt(100000) > 300.
    assert np.mean(boxes[:, 2] == 400) < 0.01
    few = np.asarray(augment.sample_grid_boxes(keys(200), 400, 400, 300, (8.0, 9.0)))
    np.testing.assert_array_equal(few, np.tile([0, 0, 400, 400], (200, 1)))


def test_pictures_have_the_tiles_in_reading_order():
    tiles = numbered(2, 3, 3, 1)[:, None] + jnp.arange(4.0).reshape(1, 4, 1, 1, 1) * 100
    laid = augment.lay_out(tiles, 2, gap=1, fill=-1.0)
    assert laid.shape == (2, 9, 9, 1)
    np.testing.assert_array_equal(laid[:, 1:4, 5:8], tiles[:, 1])
    np.testing.assert_array_equal(laid[:, 5:8, 1:4], tiles[:, 2])
    for line in (0, 4, 8):
        np.testing.assert_array_equal(laid[:, line], -1.0)
        np.testing.assert_array_equal(laid[:, :, line], -1.0)


def test_nothing_moves_between_devices_and_the_batch_has_no_say():
    @jax.jit
    def make(images):
        own = keys(images.shape[0])
        corners = augment.cell_corners(own, 3, 10, 6, room=2)
        shifts = augment.sample_offsets(augment.fold_keys(own, 1), 27, 2)
        return augment.cut_tiles(images, corners, 6, shifts.reshape(-1, 9, 3, 2))

    images = numbered(16, 32, 32)
    (sharded,) = on_eight_devices([images])
    assert collective_sizes(make.lower(sharded).compile().as_text()) == []
    np.testing.assert_array_equal(make(sharded), make(images))
    np.testing.assert_array_equal(make(images)[:8], make(images[:8]))
