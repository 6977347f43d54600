"""DCL and DCLW against loops in float64, and their relation to the coupled loss."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.decoupled import dcl, dclw


def f32(x):
    return jnp.asarray(x, jnp.float32)


def unit(x):
    return x / np.sqrt(x @ x)


def reference(z1, z2, temperature, sigma=None):
    views = [[unit(z) for z in z1], [unit(z) for z in z2]]
    batch = len(z1)
    cosine = [views[0][i] @ views[1][i] for i in range(batch)]
    weight = [1.0] * batch
    if sigma is not None:
        mean = sum(np.exp(c / sigma) for c in cosine) / batch
        weight = [2 - np.exp(c / sigma) / mean for c in cosine]
    total = 0.0
    for k in range(2):
        for i in range(batch):
            negatives = sum(
                np.exp(views[k][i] @ views[other][j] / temperature)
                for other in range(2)
                for j in range(batch)
                if j != i
            )
            total += -weight[i] * cosine[i] / temperature + np.log(negatives)
    return total / batch


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    z1 = rng.normal(size=(6, 5))
    return z1, z1 + rng.normal(size=(6, 5))


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_values_match_float64(views, temperature):
    z1, z2 = f32(views[0]), f32(views[1])
    np.testing.assert_allclose(dcl(z1, z2, temperature), reference(*views, temperature), rtol=1e-5)
    for sigma in (0.3, 0.5):
        expected = reference(*views, temperature, sigma)
        np.testing.assert_allclose(dclw(z1, z2, temperature, sigma), expected, rtol=1e-5)


def test_collapse_gives_the_logarithm_of_the_number_of_negatives():
    same = jnp.ones((5, 3))
    # The positive similarity 1/τ cancels that of the negatives; two views are summed.
    assert float(dcl(same, same)) == pytest.approx(2 * np.log(8), rel=1e-5)
    assert float(dclw(same, same)) == pytest.approx(2 * np.log(8), rel=1e-5)


def test_positive_pair_is_not_in_the_denominator():
    # One image turned alone changes only its own positive, when all others are orthogonal to it.
    z1 = f32(np.eye(6)[:4])
    z2 = z1.at[0].set(f32(np.eye(6)[4]))
    change = dcl(z1, z2, 0.1) - dcl(z1, z1, 0.1)
    # Its positive falls from 1 to 0: 1/τ more in both views, over a batch of 4.
    np.testing.assert_allclose(change, 2 * 10 / 4, rtol=1e-5)


def test_weights_vanish_as_sigma_grows(views):
    z1, z2 = f32(views[0]), f32(views[1])
    np.testing.assert_allclose(dclw(z1, z2, sigma=1e5), dcl(z1, z2), rtol=1e-4)


def test_views_are_interchangeable(views):
    z1, z2 = f32(views[0]), f32(views[1])
    np.testing.assert_allclose(dcl(z1, z2), dcl(z2, z1), rtol=1e-6)
    np.testing.assert_allclose(dclw(z1, z2), dclw(z2, z1), rtol=1e-6)


@pytest.mark.parametrize("loss", [dcl, dclw])
def test_single_image_is_refused(loss):
    with pytest.raises(ValueError, match="negatives"):
        loss(jnp.ones((1, 3)), jnp.ones((1, 3)))
