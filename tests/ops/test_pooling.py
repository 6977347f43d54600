"""Grids of maps: the published sizes, and each cell against its own places."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.pooling import adaptive_pool, grid_of


@pytest.mark.parametrize(
    ("channels", "sides"),
    [
        ((96, 256, 384, 384, 256), (10, 6, 5, 5, 6)),  # AlexNet, as colorization has it.
        ((64, 192, 384, 256, 256), (12, 7, 5, 6, 6)),  # The same, as RotNet has it.
        ((64, 256, 512, 1024, 2048), (12, 6, 4, 3, 2)),  # ResNet-50.
    ],
)
def test_the_published_grids_are_those_of_9600_values(channels, sides):
    assert tuple(grid_of(56, 56, count, 9600)[0] for count in channels) == sides


def test_a_grid_is_no_finer_than_the_map_and_never_empty():
    assert grid_of(4, 9, 1, 36) == (4, 6)
    assert grid_of(4, 9, 64, 0) == (1, 1)


@pytest.mark.parametrize("how", ["average", "max"])
@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (3, 4), (7, 5)])
def test_each_cell_is_that_of_its_places(how, grid):
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 3))
    wanted = np.empty((2, *grid, 3))
    for row in range(grid[0]):
        for column in range(grid[1]):
            top, left = int(np.floor(row * 7 / grid[0])), int(np.floor(column * 5 / grid[1]))
            bottom = int(np.ceil((row + 1) * 7 / grid[0]))
            right = int(np.ceil((column + 1) * 5 / grid[1]))
            places = x[:, top:bottom, left:right].reshape(2, -1, 3)
            wanted[:, row, column] = places.mean(axis=1) if how == "average" else places.max(axis=1)
    found = adaptive_pool(jnp.asarray(x, jnp.float32), grid, how)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_grid_finer_than_the_map_is_refused():
    with pytest.raises(ValueError, match="cannot be pooled"):
        adaptive_pool(jnp.zeros((1, 3, 3, 1)), (4, 1))
