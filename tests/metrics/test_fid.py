"""Fréchet distance between two sets of features."""

import numpy as np
import pytest
import scipy.linalg

from ssljax.metrics import frechet_distance


def moments(seed, count, dim=12, scale=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, dim)) @ rng.normal(size=(dim, dim)) * scale + shift
    return x.mean(axis=0), np.cov(x, rowvar=False)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_it_is_the_formula_with_a_matrix_square_root(scale):
    mean_a, cov_a = moments(0, 200, scale=scale)
    mean_b, cov_b = moments(1, 200, scale=scale, shift=scale)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b - 2 * root)
    found = frechet_distance(mean_a, cov_a, mean_b, cov_b)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    np.testing.assert_allclose(frechet_distance(mean_b, cov_b, mean_a, cov_a), found, rtol=1e-10)


def test_of_independent_axes_it_is_a_sum_over_them():
    mean_a, mean_b = np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0])
    std_a, std_b = np.array([1.0, 2.0, 0.0]), np.array([3.0, 2.0, 0.5])
    expected = np.sum((mean_a - mean_b) ** 2 + (std_a - std_b) ** 2)
    found = frechet_distance(mean_a, np.diag(std_a**2), mean_b, np.diag(std_b**2))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("count", [3, 20, 200])
def test_of_a_set_and_itself_it_is_zero_whatever_the_rank(count):
    mean, cov = moments(0, count, dim=40)
    assert frechet_distance(mean, cov, mean, cov) <= 1e-8 * np.trace(cov)


@pytest.mark.parametrize("counts", [(5, 9), (9, 5), (5, 200), (200, 5)])
def test_fewer_samples_than_dimensions_keep_it_exact(counts):
    (mean_a, cov_a), (mean_b, cov_b) = moments(0, counts[0], 30), moments(1, counts[1], 30)
    # The nuclear norm of the roots' product: another way to the trace, by singular values.
    roots = []
    for cov in (cov_a, cov_b):
        vectors, values, _ = np.linalg.svd(cov)
        roots.append(vectors * np.sqrt(values)[None] @ vectors.T)
    overlap = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b) - 2 * overlap
    found = frechet_distance(mean_a, cov_a, mean_b, cov_b)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_points_without_spread_differ_by_their_means():
    nothing = np.zeros((4, 4))
    assert frechet_distance(np.zeros(4), nothing, np.full(4, 2.0), nothing) == 16.0


def test_turning_both_sets_changes_nothing():
    (mean_a, cov_a), (mean_b, cov_b) = moments(0, 100), moments(1, 100)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(12, 12)))[0]
    turned = [turn @ mean_a, turn @ cov_a @ turn.T, turn @ mean_b, turn @ cov_b @ turn.T]
    expected = frechet_distance(mean_a, cov_a, mean_b, cov_b)
    np.testing.assert_allclose(frechet_distance(*turned), expected, rtol=1e-9)
