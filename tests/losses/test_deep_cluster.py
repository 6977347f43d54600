"""Clustering on the sphere and its loss, against plain NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from ssljax.losses import deep_cluster, spherical_kmeans

DIM, CLUSTERS = 6, 5


def directions(seed, size):
    rows = np.random.default_rng(seed).normal(size=(size, DIM))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def reference_kmeans(rows, seeds, iterations):
    """Lloyd's passes, one cluster at a time."""
    centroids = seeds.copy()
    for _ in range(iterations):
        nearest = np.argmax(rows @ centroids.T, axis=1)
        for cluster in np.unique(nearest):
            mean = rows[nearest == cluster].mean(axis=0)
            centroids[cluster] = mean / np.linalg.norm(mean)
    return centroids, np.argmax(rows @ centroids.T, axis=1)


def reference_loss(scores, assignments, temperature):
    terms = []
    for crop in scores:
        for row, cluster in zip(crop / temperature, assignments, strict=True):
            if cluster >= 0:
                terms.append(np.log(np.sum(np.exp(row))) - row[cluster])
    return np.mean(terms)


# 5000 rows are more than one block of them.
@pytest.mark.parametrize(("size", "iterations"), [(50, 0), (50, 1), (50, 10), (5000, 3)])
def test_kmeans_is_lloyds_in_float64(size, iterations):
    rows = directions(0, size)
    centroids, nearest = jax.jit(spherical_kmeans, static_argnums=2)(
        jnp.asarray(rows, jnp.float32), jnp.asarray(rows[:CLUSTERS], jnp.float32), iterations
    )
    expected, expected_nearest = reference_kmeans(rows, rows[:CLUSTERS], iterations)
    np.testing.assert_allclose(centroids, expected, atol=1e-5)
    np.testing.assert_array_equal(nearest, expected_nearest)


def test_rows_that_are_not_known_move_no_centroid_and_get_no_cluster():
    rows, known = directions(1, 40), np.random.default_rng(1).random(40) < 0.5
    seeds = rows[known][:CLUSTERS]
    centroids, nearest = spherical_kmeans(
        jnp.asarray(rows), jnp.asarray(seeds), 5, jnp.asarray(known)
    )
    expected, expected_nearest = reference_kmeans(rows[known], seeds, 5)
    np.testing.assert_allclose(centroids, expected, atol=1e-5)
    np.testing.assert_array_equal(nearest[known], expected_nearest)
    assert np.all(np.asarray(nearest)[~known] == -1)


def test_centroid_without_rows_stays():
    rows = np.array([[1.0, 0.0], [0.8, 0.6]])
    seeds = np.array([[1.0, 0.0], [-1.0, 0.0]])
    centroids, nearest = spherical_kmeans(jnp.asarray(rows), jnp.asarray(seeds), 3)
    np.testing.assert_array_equal(centroids[1], seeds[1])
    np.testing.assert_array_equal(nearest, [0, 0])


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_loss_is_the_formula_in_float64(temperature):
    rng = np.random.default_rng(2)
    scores = rng.uniform(-1, 1, size=(3, 8, CLUSTERS))
    assignments = rng.integers(-1, CLUSTERS, 8)
    assert -1 in assignments
    loss = deep_cluster(jnp.asarray(scores), jnp.asarray(assignments), temperature)
    np.testing.assert_allclose(loss, reference_loss(scores, assignments, temperature), rtol=1e-6)


def test_without_clusters_there_is_nothing_to_learn():
    scores = jnp.asarray(np.random.default_rng(3).normal(size=(2, 4, CLUSTERS)), jnp.float32)
    value, gradient = jax.value_and_grad(deep_cluster)(scores, jnp.full(4, -1))
    assert value == 0.0
    assert not np.any(gradient)


def test_crops_of_other_images_are_told():
    with pytest.raises((ValueError, TypeCheckError), match=r"one shape|assignments"):
        deep_cluster([jnp.zeros((3, 4))], jnp.zeros(2, jnp.int32))
    with pytest.raises(ValueError, match="no crop"):
        deep_cluster([], jnp.zeros(2, jnp.int32))
