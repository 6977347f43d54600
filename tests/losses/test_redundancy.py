"""Barlow Twins and VICReg against loops in float64, their least values and their collapse."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.redundancy import barlow_twins, vicreg, vicreg_terms


def f32(x):
    return jnp.asarray(x, jnp.float32)


def reference_barlow(z1, z2, lambd):
    batch, dim = z1.shape
    a, b = ((z - z.mean(0)) / np.sqrt(((z - z.mean(0)) ** 2).mean(0) + 1e-5) for z in (z1, z2))
    loss = 0.0
    for i in range(dim):
        for j in range(dim):
            correlation = sum(a[n, i] * b[n, j] for n in range(batch)) / batch
            loss += (1 - correlation) ** 2 if i == j else lambd * correlation**2
    return loss


def reference_vicreg(z1, z2):
    batch, dim = z1.shape
    invariance = sum((z1[n, d] - z2[n, d]) ** 2 for n in range(batch) for d in range(dim))
    variance, covariance = 0.0, 0.0
    for z in (z1, z2):
        mean = sum(z) / batch
        for i in range(dim):
            for j in range(dim):
                entry = sum((r[i] - mean[i]) * (r[j] - mean[j]) for r in z) / (batch - 1)
                if i == j:
                    variance += max(0.0, 1 - np.sqrt(entry + 1e-4)) / dim / 2
                else:
                    covariance += entry**2 / dim
    return invariance / (batch * dim), variance, covariance


@pytest.fixture(params=[0.3, 1.0, 3.0])
def views(request):
    rng = np.random.default_rng(0)
    z1 = request.param * rng.normal(size=(7, 4)) + 1
    return z1, z1 + 0.5 * rng.normal(size=(7, 4))


@pytest.mark.parametrize("lambd", [0.0051, 1.0])
def test_barlow_twins_matches_float64(views, lambd):
    value = barlow_twins(f32(views[0]), f32(views[1]), lambd)
    np.testing.assert_allclose(value, reference_barlow(*views, lambd), rtol=1e-5)


def test_vicreg_matches_float64(views):
    z1, z2 = f32(views[0]), f32(views[1])
    expected = reference_vicreg(*views)
    np.testing.assert_allclose(vicreg_terms(z1, z2), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(vicreg(z1, z2), np.dot([25, 25, 1], expected), rtol=1e-5)
    value = vicreg(z1, z2, sim=1.0, std=2.0, cov=3.0)
    np.testing.assert_allclose(value, np.dot([1, 2, 3], expected), rtol=1e-5)


def test_equal_views_without_redundancy_are_the_least_of_both():
    # The columns of a Hadamard matrix are orthogonal, with mean 0 and variance 1.
    two = np.array([[1.0, 1.0], [1.0, -1.0]])
    columns = f32(np.kron(np.kron(two, two), two)[:, 1:])
    assert float(barlow_twins(columns, columns)) == pytest.approx(0.0, abs=1e-6)
    assert float(vicreg(columns, columns)) == pytest.approx(0.0, abs=1e-6)


def test_collapse_is_the_worst_of_invariant_embeddings():
    collapsed = jnp.full((8, 5), 2.0)
    # Nothing correlates with a constant, not even itself: one per dimension.
    assert float(barlow_twins(collapsed, collapsed)) == pytest.approx(5.0)
    # The hinge is 1 - √1e-4 in each dimension, and the two views are averaged.
    assert float(vicreg(collapsed, collapsed)) == pytest.approx(25 * 0.99, rel=1e-5)


def test_barlow_twins_ignores_the_scale_of_a_dimension(views):
    z1, z2 = f32(views[0]), f32(views[1])
    scaled = barlow_twins(z1 * f32([10.0, 1.0, 5.0, 2.0])[None, :], z2 + 3)
    np.testing.assert_allclose(scaled, barlow_twins(z1, z2), rtol=1e-3)


def test_vicreg_of_one_image_is_refused():
    with pytest.raises(ValueError, match="variance"):
        vicreg(jnp.ones((1, 3)), jnp.ones((1, 3)))
