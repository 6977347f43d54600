"""BYOL and SimSiam against float64: sum against mean, targets without gradient, collapse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.regression import (
    byol,
    byol_regression,
    negative_cosine,
    normalized_std,
    simsiam,
)


def f32(x):
    return jnp.asarray(x, jnp.float32)


def unit(x):
    return x / np.sqrt(x @ x)


def squared_distance(p, z):
    return np.mean([np.sum((unit(a) - unit(b)) ** 2) for a, b in zip(p, z, strict=True)])


def cosine(p, z):
    return np.mean([unit(a) @ unit(b) for a, b in zip(p, z, strict=True)])


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(6, 5)) for _ in range(4)]


def test_single_view_values_match_float64(views):
    p, z = views[:2]
    np.testing.assert_allclose(negative_cosine(f32(p), f32(z)), -cosine(p, z), rtol=1e-5)
    np.testing.assert_allclose(byol_regression(f32(p), f32(z)), squared_distance(p, z), rtol=1e-5)


def test_byol_sums_and_simsiam_averages_the_crossed_views(views):
    p1, p2, z1, z2 = views
    arguments = [f32(x) for x in views]
    expected = squared_distance(p1, z2) + squared_distance(p2, z1)
    np.testing.assert_allclose(byol(*arguments), expected, rtol=1e-5)
    expected = -(cosine(p1, z2) + cosine(p2, z1)) / 2
    np.testing.assert_allclose(simsiam(*arguments), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("loss", "least", "most"), [(byol, 0.0, 8.0), (simsiam, -1.0, 1.0)])
def test_limits_are_reached_by_equal_and_opposite_views(views, loss, least, most):
    x, y = f32(views[0]), f32(views[1])
    assert float(loss(x, y, 3 * y, 0.1 * x)) == pytest.approx(least, abs=1e-5)
    assert float(loss(x, y, -y, -x)) == pytest.approx(most, abs=1e-5)


@pytest.mark.parametrize("loss", [byol, simsiam])
def test_targets_get_no_gradient(views, loss):
    gradients = jax.grad(loss, argnums=(0, 1, 2, 3))(*map(f32, views))
    assert np.any(gradients[0] != 0)
    assert np.any(gradients[1] != 0)
    assert not np.any(gradients[2])
    assert not np.any(gradients[3])


def test_both_orders_together_have_the_gradient_without_stop_gradient(views):
    p, z = f32(views[0]), f32(views[1])

    def free(p, z):
        unit_p = p / jnp.linalg.norm(p, axis=1, keepdims=True)
        unit_z = z / jnp.linalg.norm(z, axis=1, keepdims=True)
        return -jnp.mean(jnp.sum(unit_p * unit_z, axis=1))

    both = jax.grad(lambda p, z: negative_cosine(p, z) + negative_cosine(z, p), argnums=(0, 1))
    for ours, expected in zip(both(p, z), jax.grad(free, argnums=(0, 1))(p, z), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-7)


def test_std_tells_collapse_from_health():
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(4000, 16))
    assert float(normalized_std(f32(spread))) == pytest.approx(1 / 4, rel=0.01)
    collapsed = np.outer(rng.uniform(1, 2, size=50), rng.normal(size=16))
    assert float(normalized_std(f32(collapsed))) == pytest.approx(0.0, abs=1e-6)


def test_std_matches_float64(views):
    z = np.stack([unit(row) for row in views[0]])
    np.testing.assert_allclose(normalized_std(f32(views[0])), z.std(axis=0).mean(), rtol=1e-5)
