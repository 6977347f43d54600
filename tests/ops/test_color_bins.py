"""Bins of colour, soft targets and weights, each against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree
from skimage.color import rgb2lab

from ssljax.ops import color_bins

# The rows of the published table: a, and the least and the largest b; b goes in steps of 10.
PUBLISHED = (
    (-90, 50, 90), (-80, 20, 90), (-70, 0, 90), (-60, -20, 90), (-50, -30, 100), (-40, -40, 100),
    (-30, -50, 100), (-20, -50, 100), (-10, -60, 100), (0, -70, 100), (10, -80, 90), (20, -80, 90),
    (30, -90, 90), (40, -100, 90), (50, -100, 80), (60, -110, 80), (70, -110, 80), (80, -110, 70),
    (90, -110, 70), (100, -90, 0),
)  # fmt: skip


def f32(x):
    return jnp.asarray(x, jnp.float32)


@pytest.fixture(scope="module")
def bins():
    return color_bins.gamut_bins()


def test_bins_are_the_points_a_diagonal_from_the_gamut_and_nearly_the_published(bins):
    found = {(int(a), int(b)) for a, b in bins}
    published = {(a, b) for a, low, high in PUBLISHED for b in range(low, high + 1, 10)}
    assert len(published) == 313
    assert abs(len(bins) - 313) <= 3
    assert len(found & published) >= 310
    # By another sampling, of the whole cube, and another search for the nearest colour.
    levels = np.linspace(0, 1, 52)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    line = 10.0 * np.arange(-15, 16)
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    distance, _ = cKDTree(rgb2lab(cube)[..., 1:].reshape(-1, 2)).query(points)
    assert found == {(int(a), int(b)) for a, b in points[distance <= 10 * np.sqrt(2)]}


def test_every_colour_has_a_bin_within_its_cell(bins):
    rng = np.random.default_rng(0)
    ab = rgb2lab(rng.integers(0, 256, (2000, 3)) / 255)[:, 1:]
    distance, _ = cKDTree(bins).query(ab)
    assert distance.max() <= 5 * np.sqrt(2)


@pytest.mark.parametrize(("neighbors", "sigma"), [(1, 5.0), (5, 5.0), (10, 3.0)])
def test_soft_targets_match_float64(bins, neighbors, sigma):
    rng = np.random.default_rng(1)
    ab = rng.uniform(-80, 80, (4, 3, 2))
    found = np.asarray(color_bins.soft_encode(f32(ab), bins, neighbors, sigma))
    for place in np.ndindex(4, 3):
        distance = np.linalg.norm(bins.astype(np.float64) - np.float32(ab[place]), axis=1)
        nearest = np.argsort(distance)[:neighbors]
        share = np.zeros(len(bins))
        share[nearest] = np.exp(-(distance[nearest] ** 2) / (2 * sigma**2))
        np.testing.assert_allclose(found[place], share / share.sum(), atol=1e-5)
    assert np.all(np.count_nonzero(found, axis=-1) <= neighbors)


def test_a_colour_far_from_all_bins_still_has_a_target(bins):
    found = color_bins.soft_encode(f32([[500.0, -500.0]]), bins)
    assert float(jnp.sum(found)) == pytest.approx(1.0)


def test_equal_distances_have_equal_shares(bins):
    grey = np.asarray(color_bins.soft_encode(f32([0.0, 0.0]), bins, 4))
    around = [grey[np.flatnonzero(np.all(bins == xy, axis=1))[0]] for xy in
              ((10, 0), (-10, 0), (0, 10), (0, -10))]  # fmt: skip
    assert len(set(around)) == 1
    assert around[0] == pytest.approx(np.exp(-2) / (1 + 4 * np.exp(-2)), rel=1e-5)


def test_lightness_has_a_bin_for_each_of_its_hundred_steps():
    lightness = f32([[0.0], [0.99], [1.01], [50.2], [100.0]])
    found = color_bins.soft_encode(lightness, color_bins.lightness_bins(), neighbors=1)
    np.testing.assert_array_equal(jnp.argmax(found, axis=-1), [0, 0, 1, 50, 99])
    np.testing.assert_array_equal(jnp.max(found, axis=-1), 1.0)


@pytest.mark.parametrize("temperature", [1.0, 0.38, 0.05])
def test_annealed_mean_matches_float64(bins, temperature):
    logits = np.random.default_rng(2).normal(size=(3, 2, len(bins)))
    powers = np.exp(logits / temperature)
    shares = powers / powers.sum(axis=-1, keepdims=True)
    found = color_bins.annealed_mean(f32(logits), bins, temperature)
    np.testing.assert_allclose(found, shares @ bins.astype(np.float64), rtol=1e-4, atol=1e-4)


def test_annealed_mean_goes_from_the_mean_to_the_mode(bins):
    logits = f32(np.random.default_rng(3).normal(size=len(bins)))
    mode = bins[int(jnp.argmax(logits))]
    np.testing.assert_allclose(color_bins.annealed_mean(logits, bins, 1e-3), mode, atol=1e-3)


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1.0])
def test_weights_match_float64_and_have_mean_1_under_the_prior(uniform):
    rng = np.random.default_rng(4)
    prior = rng.dirichlet(np.full(20, 0.2), size=3)
    prior[:, rng.permutation(20)[:6]] = 0.0
    prior /= prior.sum(axis=-1, keepdims=True)
    found = np.asarray(color_bins.rebalancing_weights(f32(prior), uniform))
    for row, weights in zip(prior, found, strict=True):
        known = row > 0
        mixed = (1 - uniform) * row + uniform * known / known.sum()
        raw = np.where(known, 1 / np.where(known, mixed, 1.0), 0.0)
        np.testing.assert_allclose(weights, raw / np.sum(row * raw), rtol=1e-4)
        assert np.sum(row * weights) == pytest.approx(1.0, rel=1e-5)


def test_without_a_prior_there_are_no_weights_and_no_nan():
    np.testing.assert_array_equal(color_bins.rebalancing_weights(jnp.zeros((2, 5))), 0.0)


def test_impossible_numbers_are_refused(bins):
    with pytest.raises(ValueError, match=r"neighbors is 0; it must be from 1 to 314"):
        color_bins.soft_encode(jnp.zeros((1, 2)), bins, 0)
    with pytest.raises(ValueError, match=r"sigma is 0\.0"):
        color_bins.soft_encode(jnp.zeros((1, 2)), bins, 5, 0.0)
    with pytest.raises(ValueError, match=r"temperature is 0\.0"):
        color_bins.annealed_mean(jnp.zeros((1, 314)), bins, 0.0)
    with pytest.raises(ValueError, match=r"uniform is 1\.5"):
        color_bins.rebalancing_weights(jnp.ones(4) / 4, 1.5)
    with pytest.raises(ValueError, match=r"grid is 0"):
        color_bins.gamut_bins(0)


def test_targets_and_means_are_made_inside_jit(bins):
    @jax.jit
    def there_and_back(ab):
        shares = color_bins.soft_encode(ab, color_bins.gamut_bins(), 5)
        return color_bins.annealed_mean(jnp.log(shares + 1e-12), bins, 1.0)

    ab = f32([[3.0, -17.0], [40.0, 20.0]])
    np.testing.assert_allclose(there_and_back(ab), ab, atol=2.0)
