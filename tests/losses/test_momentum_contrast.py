"""MoCo's losses against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.momentum_contrast import info_nce_batch, info_nce_queue


def f32(x):
    return jnp.asarray(x, jnp.float32)


def unit(x):
    return x / np.sqrt(x @ x)


def reference_queue(query, key, queue, temperature):
    total = 0.0
    for q, k in zip(query, key, strict=True):
        positive = np.exp(unit(q) @ unit(k) / temperature)
        negatives = sum(np.exp(unit(q) @ unit(n) / temperature) for n in queue)
        total -= np.log(positive / (positive + negatives))
    return total / len(query)


def reference_batch(query, key, temperature):
    total = 0.0
    for i, q in enumerate(query):
        terms = [np.exp(unit(q) @ unit(k) / temperature) for k in key]
        total -= np.log(terms[i] / sum(terms))
    return 2 * temperature * total / len(query)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 7)), rng.normal(size=(5, 7)), rng.normal(size=(12, 7))


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_values_match_float64(data, temperature):
    query, key, queue = data
    value = info_nce_queue(f32(query), f32(key), f32(queue), temperature)
    np.testing.assert_allclose(value, reference_queue(*data, temperature), rtol=1e-5)
    value = info_nce_batch(f32(query), f32(key), temperature)
    np.testing.assert_allclose(value, reference_batch(query, key, temperature), rtol=1e-5)


def test_temperature_may_be_traced(data):
    query, key, queue = map(f32, data)
    traced = jax.jit(info_nce_queue)(query, key, queue, jnp.float32(0.2))
    np.testing.assert_allclose(traced, info_nce_queue(query, key, queue, 0.2), rtol=1e-6)


def test_collapse_gives_the_logarithm_of_the_number_of_candidates():
    same = jnp.ones((6, 4))
    assert float(info_nce_queue(same, same, jnp.ones((10, 4)), 0.07)) == pytest.approx(
        np.log(11), rel=1e-5
    )
    assert float(info_nce_batch(same, same, 0.2)) == pytest.approx(0.4 * np.log(6), rel=1e-5)


def test_negatives_of_v3_come_from_the_other_view_only(data):
    # Queries that equal each other are no negatives of each other.
    same = jnp.ones((3, 3))
    keys = f32(np.eye(3))
    expected = 2 * 0.2 * np.log(3)
    assert float(info_nce_batch(same, keys, 0.2)) == pytest.approx(expected, rel=1e-5)


def test_only_the_query_gets_a_gradient(data):
    query, key, queue = map(f32, data)
    gradients = jax.grad(info_nce_queue, argnums=(0, 1, 2))(query, key, queue)
    assert np.any(gradients[0] != 0)
    assert not np.any(gradients[1])
    assert not np.any(gradients[2])
    gradients = jax.grad(info_nce_batch, argnums=(0, 1))(query, key)
    assert np.any(gradients[0] != 0)
    assert not np.any(gradients[1])
