"""Exact Gaussian filters against all pairs in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops import gaussian


def _all_pairs(features, values):
    squares = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    return np.exp(-0.5 * squares) @ values


@pytest.mark.parametrize("entries", [1, 100, 1 << 24])
def test_blocks_of_any_size_give_the_sum_over_all_pairs(monkeypatch, entries):
    monkeypatch.setattr(gaussian, "_ENTRIES", entries)
    rng = np.random.default_rng(0)
    # Far from the origin, where products of features would be inexact.
    features, values = 1000 + rng.normal(size=(33, 4)), rng.normal(size=(33, 2))
    features = features.astype(np.float32)
    found = gaussian.filter_pairs(jnp.asarray(features), jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(found, _all_pairs(features.astype(float), values), atol=1e-5)


def test_no_matrix_of_all_pairs_is_made():
    points = 10_000
    program = jax.jit(gaussian.filter_pairs).lower(
        jax.ShapeDtypeStruct((points, 5), jnp.float32),
        jax.ShapeDtypeStruct((points, 2), jnp.float32),
    )
    memory = program.compile().memory_analysis()
    assert memory.temp_size_in_bytes < points**2 * 4 / 3


def test_a_grid_of_positions_separates():
    values = np.random.default_rng(0).normal(size=(6 * 9, 2))
    positions = np.indices((6, 9)).reshape(2, -1).T / 1.7
    kernel = gaussian.separable_gaussian(6, 9, 1.7)
    found = gaussian.filter_separable(kernel, jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(found, _all_pairs(positions, values), atol=1e-5)


def test_a_width_of_zero_is_refused():
    with pytest.raises(ValueError, match="sigma"):
        gaussian.separable_gaussian(2, 2, 0.0)
