"""The smooth local affine recolouring against loops over pixels in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.local_affine import joint_bilateral, local_affine, smooth_local_affine


@pytest.fixture(name="photograph")
def _photograph():
    return np.random.default_rng(0).uniform(size=(7, 6, 3))


def regression(image, photograph, y, x):
    """Ridge regression over the window of a pixel, as far as it lies in the image."""
    rows = [
        (np.append(photograph[v, u], 1), image[v, u])
        for v in range(max(0, y - 1), min(7, y + 2))
        for u in range(max(0, x - 1), min(6, x + 2))
    ]
    given, wanted = (np.stack(column) for column in zip(*rows, strict=True))
    return np.linalg.inv(given.T @ given + 1e-3 * np.eye(4)) @ given.T @ wanted


def test_models_are_regressions_over_windows(photograph):
    image = np.random.default_rng(1).uniform(size=(7, 6, 2))
    models = local_affine(image, photograph)
    for y, x in ((0, 0), (3, 2), (6, 5), (4, 0)):
        wanted = regression(image, photograph, y, x)
        np.testing.assert_allclose(models[y, x].reshape(4, 2), wanted, rtol=1e-8, atol=1e-9)


def test_smoothing_weighs_by_place_and_colour(photograph):
    values = np.random.default_rng(2).normal(size=(7, 6, 2))
    radius, edge = 2, 0.3
    found = joint_bilateral(
        jnp.asarray(values, jnp.float32), jnp.asarray(photograph, jnp.float32), radius, edge
    )
    for y in range(7):
        for x in range(6):
            total = weights = 0.0
            for v in range(max(0, y - radius), min(7, y + radius + 1)):
                for u in range(max(0, x - radius), min(6, x + radius + 1)):
                    far = ((v - y) ** 2 + (u - x) ** 2) / (2 * (radius / 3) ** 2)
                    apart = np.mean((photograph[v, u] - photograph[y, x]) ** 2) / (2 * edge**2)
                    weight = np.exp(-far - apart)
                    total, weights = total + weight * values[v, u], weights + weight
            np.testing.assert_allclose(found[y, x], total / weights, rtol=1e-4, atol=1e-5)


def test_a_recolouring_stays_and_grain_goes():
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:24, :20] / 24
    photograph = np.stack([rows, columns, 0.5 + 0.3 * np.sin(9 * rows)], axis=2)
    recoloured = photograph @ rng.uniform(0.1, 0.4, (3, 3)) + 0.05
    stays = smooth_local_affine(recoloured, photograph)
    np.testing.assert_allclose(stays, recoloured, atol=0.01)
    grain = rng.normal(0, 0.1, recoloured.shape)
    smooth = smooth_local_affine(recoloured + grain, photograph, radius=9, edge=0.2)
    assert np.std(smooth - recoloured) < 0.35 * 0.1


def test_what_does_not_fit_is_told(photograph):
    with pytest.raises(ValueError, match="must have one size"):
        smooth_local_affine(photograph[1:], photograph)
    with pytest.raises(ValueError, match="edge is 0"):
        smooth_local_affine(photograph, photograph, edge=0)
