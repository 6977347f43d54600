"""The loss of learning to count, against its formula in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import counting_distances, counting_loss


def counts(seed=0, batch=6, dim=5):
    rng = np.random.default_rng(seed)
    shapes = (batch, dim), (batch, 4, dim), (batch, dim)
    return [rng.gamma(0.5, size=shape).astype(np.float32) for shape in shapes]


def formula(whole, tiles, other, margin):
    total = 0.0
    for x, parts, y in zip(
        *(np.asarray(a, np.float64) for a in (whole, tiles, other)), strict=True
    ):
        near = np.sum((x - parts.sum(0)) ** 2)
        far = np.sum((y - parts.sum(0)) ** 2)
        total += near + max(0.0, margin - far)
    return total / len(whole)


@pytest.mark.parametrize("margin", [0.1, 25.0, 80.0])
def test_loss_is_the_papers(margin):
    whole, tiles, other = counts()
    far = np.sum((other - tiles.sum(1)) ** 2, axis=1)
    assert np.min(far) < 25 < np.max(far), "one of the margins is amid the distances"
    found = counting_loss(*map(jnp.asarray, (whole, tiles, other)), margin=margin)
    np.testing.assert_allclose(found, formula(whole, tiles, other, margin), rtol=1e-5)


def test_the_hinge_is_on_the_whole_distance():
    # Sixteen units, each a distance of 1 apart: far enough together, and none of them by itself.
    tiles = jnp.zeros((1, 4, 16))
    assert float(counting_loss(jnp.zeros((1, 16)), tiles, jnp.ones((1, 16)))) == 0.0
    pull = jax.grad(lambda y: counting_loss(jnp.zeros((1, 16)), tiles, y))
    np.testing.assert_array_equal(pull(jnp.ones((1, 16))), 0.0)
    np.testing.assert_allclose(pull(0.5 * jnp.ones((1, 16))), -np.ones((1, 16)), rtol=1e-6)


def test_counts_of_nothing_cost_the_margin():
    zeros = jnp.zeros((3, 7))
    assert float(counting_loss(zeros, jnp.zeros((3, 4, 7)), zeros)) == 10.0


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"must be \(batch, dim\)"):
        counting_distances(jnp.zeros((2, 3)), jnp.zeros((2, 4, 3)), jnp.zeros((1, 3)))
