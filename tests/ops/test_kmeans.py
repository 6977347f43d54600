"""Clustering on the sphere, against plain NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.kmeans import spherical_kmeans

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
