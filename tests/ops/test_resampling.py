"""Maps made larger and smaller: each value against its own square."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.resampling import box_down, nearest_up

MAPS = np.random.default_rng(0).normal(size=(2, 8, 4, 3))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_small_map_has_the_means_of_squares(factor):
    found = box_down(jnp.asarray(MAPS, jnp.float32), factor)
    assert found.shape == (2, 8 // factor, 4 // factor, 3)
    for row in range(8 // factor):
        for column in range(4 // factor):
            square = MAPS[:, factor * row :, factor * column :][:, :factor, :factor]
            np.testing.assert_allclose(
                found[:, row, column], square.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_large_map_repeats_each_place(factor):
    maps = MAPS.astype(np.float32)
    found = nearest_up(jnp.asarray(maps), factor)
    np.testing.assert_array_equal(found, np.kron(maps, np.ones((1, factor, factor, 1))))


def test_a_side_that_is_no_multiple_is_refused():
    with pytest.raises(ValueError, match="8x4 places do not shrink by 3"):
        box_down(jnp.asarray(MAPS, jnp.float32), 3)
