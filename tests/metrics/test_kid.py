"""Kernel distance between two sets of features."""

import itertools

import numpy as np
import pytest

from ssljax.metrics import kernel_distance, squared_mmd


def features(seed, count, dim=6, shift=0.0):
    return (np.random.default_rng(seed).normal(size=(count, dim)) + shift).astype(np.float32)


def kernel(a, b):
    return (float(a.astype(np.float64) @ b.astype(np.float64)) / len(a) + 1.0) ** 3


def test_it_is_the_formula_pair_by_pair():
    x, y = features(0, 7), features(1, 9, shift=0.5)
    within_x = np.mean([kernel(a, b) for a, b in itertools.permutations(x, 2)])
    within_y = np.mean([kernel(a, b) for a, b in itertools.permutations(y, 2)])
    across = np.mean([kernel(a, b) for a, b in itertools.product(x, y)])
    np.testing.assert_allclose(squared_mmd(x, y), within_x + within_y - 2 * across, rtol=1e-10)


def test_it_has_no_bias():
    draws = [squared_mmd(features(2 * s, 20), features(2 * s + 1, 20)) for s in range(400)]
    assert min(draws) < 0
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(len(draws))


def test_subsets_are_averaged():
    x, y = features(0, 60), features(1, 50, shift=0.3)
    mean, spread = kernel_distance(x, y, subsets=200, subset_size=25)
    assert spread > 0
    # Each subset's estimate has the whole sets' value as its mean.
    assert abs(mean - squared_mmd(x, y)) < 4 * spread / np.sqrt(200)
    assert kernel_distance(x, y, subsets=200, subset_size=25) == (mean, spread)
    assert kernel_distance(x, y, subsets=200, subset_size=25, seed=1) != (mean, spread)


@pytest.mark.parametrize("others", [30, 40])
def test_subsets_that_are_all_of_a_set_have_no_spread(others):
    x, y = features(0, 30), features(1, others)
    mean, spread = kernel_distance(x, y, subsets=200, subset_size=30)
    assert spread is None
    if others == 30:
        np.testing.assert_allclose(mean, squared_mmd(x, y), rtol=1e-9)
    else:
        assert mean == pytest.approx(squared_mmd(x, y), abs=0.05)


@pytest.mark.parametrize(("subsets", "size"), [(0, 5), (1, 1), (1, 9)])
def test_impossible_subsets_are_refused(subsets, size):
    with pytest.raises(ValueError, match="cannot be drawn"):
        kernel_distance(features(0, 8), features(1, 12), subsets, size)


def test_one_row_is_too_few():
    with pytest.raises(ValueError, match="at least 2 rows"):
        squared_mmd(features(0, 1), features(1, 5))
