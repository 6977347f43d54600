"""Overlapping patches against slices, and their way over devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import collective_sizes, on_eight_devices

from ssljax.ops.overlapping import overlapping_patches


@pytest.mark.parametrize(
    ("size", "stride", "grid"), [(4, 2, (3, 4)), (3, 3, (2, 3)), (8, 1, (1, 3))]
)
def test_every_patch_is_the_slice_at_its_place(size, stride, grid):
    images = np.random.default_rng(0).normal(size=(2, 8, 10, 3)).astype(np.float32)
    patches = overlapping_patches(jnp.asarray(images), size, stride)
    assert patches.shape == (2, *grid, size, size, 3)
    for row, column in np.ndindex(*grid):
        top, left = row * stride, column * stride
        expected = images[:, top : top + size, left : left + size]
        np.testing.assert_array_equal(patches[:, row, column], expected)


def test_a_sharded_batch_stays_where_it_is():
    [images] = on_eight_devices([jnp.zeros((16, 8, 8, 3))])
    cut = jax.jit(lambda x: overlapping_patches(x, 4, 2).reshape(-1, 4, 4, 3))
    assert collective_sizes(cut.lower(images).compile().as_text()) == []


@pytest.mark.parametrize(("size", "stride"), [(9, 1), (4, 0), (0, 1)])
def test_patches_that_do_not_fit_are_refused(size, stride):
    with pytest.raises(ValueError, match="do not fit 8x8"):
        overlapping_patches(jnp.zeros((1, 8, 8, 3)), size, stride)
