"""NNCLR's neighbours by brute force, and its loss against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.nearest_neighbor import nearest_neighbors, nnclr


def f32(x):
    return jnp.asarray(x, jnp.float32)


def unit(x):
    return x / np.sqrt(x @ x)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), rng.normal(size=(20, 3))


def test_neighbour_has_the_least_distance_on_the_sphere(data):
    embeddings, _, queue = data
    expected = [
        queue[np.argmin([np.sum((unit(z) - unit(q)) ** 2) for q in queue])] for z in embeddings
    ]
    np.testing.assert_array_equal(nearest_neighbors(f32(embeddings), f32(queue)), f32(expected))


def test_neighbour_of_a_stored_embedding_is_itself(data):
    queue = f32(data[2])
    np.testing.assert_array_equal(nearest_neighbors(3 * queue[4:9], queue), queue[4:9])


@pytest.mark.parametrize("temperature", [0.1, 0.2])
def test_value_matches_float64(data, temperature):
    neighbors, predictions, _ = data
    total = 0.0
    for i, neighbor in enumerate(neighbors):
        terms = [np.exp(unit(neighbor) @ unit(p) / temperature) for p in predictions]
        total -= np.log(terms[i] / sum(terms))
    value = nnclr(f32(neighbors), f32(predictions), temperature)
    np.testing.assert_allclose(value, total / len(neighbors), rtol=1e-5)


def test_collapse_gives_the_logarithm_of_the_batch():
    assert float(nnclr(jnp.ones((6, 4)), jnp.ones((6, 4)))) == pytest.approx(np.log(6), rel=1e-5)


def test_only_the_predictions_get_a_gradient(data):
    embeddings, predictions, queue = map(f32, data)

    def loss(z, p, q):
        return nnclr(nearest_neighbors(z, q), p)

    for_z, for_p, for_q = jax.grad(loss, argnums=(0, 1, 2))(embeddings, predictions, queue)
    assert np.any(for_p != 0)
    assert not np.any(for_z)
    assert not np.any(for_q)
    for_neighbors = jax.grad(nnclr)(embeddings, predictions)
    assert not np.any(for_neighbors)
