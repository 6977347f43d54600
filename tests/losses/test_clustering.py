"""SwAV's loss against plain float64, and what collapse looks like."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import prototype_entropy, sinkhorn_knopp, swapped_prediction


def f32(x):
    return jnp.asarray(x, jnp.float32)


def reference_loss(scores, codes, temperature):
    loss = 0.0
    for view in range(len(codes)):
        others = [crop for crop in range(len(scores)) if crop != view]
        for crop in others:
            p = np.exp(scores[crop] / temperature)
            p /= p.sum(axis=1, keepdims=True)
            cross_entropy = -np.mean(np.sum(codes[view] * np.log(p), axis=1))
            loss += cross_entropy / len(others) / len(codes)
    return loss


@pytest.fixture
def scores():
    return np.random.default_rng(0).uniform(-1, 1, size=(8, 5))


@pytest.mark.parametrize("crops", [2, 5])
def test_loss_matches_float64(crops):
    rng = np.random.default_rng(0)
    scores = rng.uniform(-1, 1, size=(crops, 6, 4))
    codes = rng.dirichlet(np.ones(4), size=(2, 6))
    expected = reference_loss(scores, codes, 0.1)
    np.testing.assert_allclose(swapped_prediction(f32(scores), f32(codes)), expected, rtol=1e-5)
    listed = swapped_prediction([f32(s) for s in scores], [f32(q) for q in codes], 0.1)
    np.testing.assert_allclose(listed, expected, rtol=1e-5)


def test_collapse_is_stuck_at_the_logarithm_of_the_prototypes():
    scores = jnp.full((6, 8, 30), 0.4)
    codes = [sinkhorn_knopp(scores[0]), sinkhorn_knopp(scores[1])]
    assert float(swapped_prediction(scores, codes)) == pytest.approx(np.log(30), rel=1e-5)


def test_codes_get_no_gradient(scores):
    stacked = f32(np.stack([scores, scores[::-1], scores]))

    def through_codes(used):
        codes = [sinkhorn_knopp(used[0]), sinkhorn_knopp(used[1])]
        return swapped_prediction(stacked, codes)

    assert not np.any(jax.grad(through_codes)(stacked))
    codes = jnp.full((2, 8, 5), 0.2)
    for_scores, for_codes = jax.grad(swapped_prediction, argnums=(0, 1))(stacked, codes)
    assert np.any(for_scores != 0)
    assert not np.any(for_codes)


def test_prototype_entropy_counts_the_prototypes_in_use():
    used = np.zeros((8, 5))
    used[np.arange(8), [0, 0, 0, 0, 1, 1, 2, 3]] = 1
    shares = np.array([4, 2, 1, 1]) / 8
    expected = -np.sum(shares * np.log(shares))
    assert float(prototype_entropy(f32(used))) == pytest.approx(expected, rel=1e-5)
    everyone_alike = jnp.tile(f32([[0.1, 0.9, 0.3]]), (6, 1))
    assert float(prototype_entropy(everyone_alike)) == 0.0
