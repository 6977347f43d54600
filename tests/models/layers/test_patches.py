"""Patches, against slices of the image."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models.layers.patches import patch_grid, patchify, take_tokens, unpatchify


@pytest.mark.parametrize("shape", [(2, 6, 6, 3), (1, 4, 10, 1)])
def test_patches_put_together_are_the_image(shape):
    images = jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)
    patches = patchify(images, 2)
    np.testing.assert_array_equal(unpatchify(patches, patch_grid(shape, 2), 2), images)


def test_patch_is_a_window_of_the_image():
    images = jnp.arange(2 * 6 * 9 * 3, dtype=jnp.float32).reshape(2, 6, 9, 3)
    patches = patchify(images, 3)
    assert patches.shape == (2, 6, 27)
    # Patch 4 is the middle one of the second row.
    np.testing.assert_array_equal(patches[:, 4], images[:, 3:6, 3:6].reshape(2, -1))


def test_tokens_are_taken_for_each_example():
    tokens = jnp.arange(2 * 4 * 3).reshape(2, 4, 3)
    taken = take_tokens(tokens, jnp.array([[3, 0], [1, 1]]))
    np.testing.assert_array_equal(taken[0], tokens[0, np.array([3, 0])])
    np.testing.assert_array_equal(taken[1], tokens[1, np.array([1, 1])])


def test_impossible_sizes_are_told():
    with pytest.raises(ValueError, match="30x32 pixels cannot be cut into patches of 4x4"):
        patchify(jnp.zeros((1, 30, 32, 3)), 4)
    with pytest.raises(ValueError, match="do not make an image of 2x3 patches"):
        unpatchify(jnp.zeros((1, 4, 12)), (2, 3), 2)
    with pytest.raises(ValueError, match="4 patches of 13 values"):
        unpatchify(jnp.zeros((1, 4, 13)), (2, 2), 2)
