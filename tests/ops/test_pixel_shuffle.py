"""Pixel shuffle lays channels out as the formula has them."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.pixel_shuffle import pixel_shuffle


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_every_pixel_comes_from_its_channel(factor):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 4, 2 * factor**2)).astype(np.float32)
    out = np.asarray(pixel_shuffle(jnp.asarray(x), factor))
    assert out.shape == (2, 3 * factor, 4 * factor, 2)
    for row, column, channel in np.ndindex(out.shape[1:]):
        i, j = row % factor, column % factor
        source = (channel * factor + i) * factor + j
        expected = x[:, row // factor, column // factor, source]
        assert np.array_equal(out[:, row, column, channel], expected)


def test_channels_that_fill_no_squares_are_told():
    with pytest.raises(ValueError, match="6 channels do not fill squares of 2x2"):
        pixel_shuffle(jnp.zeros((1, 2, 2, 6)), 2)
