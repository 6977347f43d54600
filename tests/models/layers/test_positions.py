"""Position embeddings, against their formula, Keys' kernel and Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ssljax.models.layers.positions import LearnedPositions, resize_positions, sincos_positions


def keys_kernel(distance):
    d = np.abs(distance)
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d < 1, near, np.where(d < 2, far, 0))


def interpolation_matrix(size_in, size_out):
    """Rows of Keys' kernel around the places that the new grid's centres have in the old."""
    centres = (np.arange(size_out) + 0.5) * size_in / size_out - 0.5
    weights = keys_kernel(centres[:, None] - np.arange(size_in)[None, :])
    return weights / weights.sum(axis=1, keepdims=True)


def test_sincos_is_the_formula():
    rows, columns, dim = 3, 5, 12
    expected = np.zeros((rows, columns, dim))
    for row in range(rows):
        for column in range(columns):
            for k in range(3):
                frequency = 10000.0 ** (-k / 3)
                expected[row, column, k] = np.sin(column * frequency)
                expected[row, column, 3 + k] = np.cos(column * frequency)
                expected[row, column, 6 + k] = np.sin(row * frequency)
                expected[row, column, 9 + k] = np.cos(row * frequency)
    np.testing.assert_allclose(sincos_positions(rows, columns, dim), expected, atol=1e-6)


def test_similarity_of_sincos_positions_depends_on_their_distance_alone():
    table = np.asarray(sincos_positions(6, 6, 16), np.float64)
    products = np.einsum("ijc,ijc->ij", table[:-2, :-1], table[2:, 1:])
    np.testing.assert_allclose(products, products[0, 0], atol=1e-5)


def test_odd_channels_are_told():
    with pytest.raises(ValueError, match="multiple of 4 channels, not 6"):
        sincos_positions(2, 2, 6)


@pytest.fixture
def table():
    return jax.random.normal(jax.random.key(0), (7, 5, 3))


def test_same_grid_is_the_table_itself(table):
    np.testing.assert_array_equal(resize_positions(table, 7, 5), table)


@pytest.mark.parametrize("grid", [(14, 10), (3, 2), (9, 4)])
def test_other_grids_are_bicubic(table, grid):
    rows, columns = interpolation_matrix(7, grid[0]), interpolation_matrix(5, grid[1])
    expected = np.einsum("oi,ijc,pj->opc", rows, np.asarray(table, np.float64), columns)
    np.testing.assert_allclose(resize_positions(table, *grid), expected, atol=1e-5)


def test_larger_grids_are_those_of_pillow(table):
    channel = Image.fromarray(np.asarray(table[:, :, 0]))
    expected = channel.resize((12, 16), Image.Resampling.BICUBIC)
    resized = resize_positions(table, 16, 12)[:, :, 0]
    np.testing.assert_allclose(resized, np.asarray(expected), atol=1e-5)


def test_smaller_crop_trains_the_whole_table_of_the_larger():
    module = LearnedPositions(8)
    params = module.init(jax.random.key(0), 4, 4)
    assert params["params"]["table"].shape == (4, 4, 8)
    assert module.apply(params, 3, 3).shape == (3, 3, 8)
    grads = jax.grad(lambda p: jnp.sum(jnp.square(module.apply(p, 3, 3))))(params)
    assert np.all(np.asarray(grads["params"]["table"]) != 0)
