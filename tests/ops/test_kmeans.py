"""Clustering: k-means against scikit-learn, and on the sphere against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import collective_sizes, on_eight_devices
from sklearn.cluster import KMeans

from ssljax.ops import kmeans as module
from ssljax.ops.kmeans import kmeans, spherical_kmeans

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


CLUSTER = jax.jit(kmeans, static_argnums=(2, 3))


def blobs(seed, size=600, dim=5, centres=12, spread=0.6):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(centres, dim))[rng.integers(0, centres, size)]
    return 3.0 + rows + spread * rng.normal(size=(size, dim))


@pytest.mark.parametrize("spread", [0.05, 0.6])
def test_kmeans_is_as_good_as_that_of_scikit_learn(spread):
    ours, theirs = [], []
    for seed in range(4):
        rows = blobs(seed, spread=spread)
        found = CLUSTER(jax.random.key(seed), jnp.asarray(rows, jnp.float32), 12, 50)
        rival = KMeans(12, n_init=1, max_iter=50, random_state=seed).fit(rows)
        ours.append(float(found.inertia))
        theirs.append(rival.inertia_)
    assert np.mean(ours) < 1.02 * np.mean(theirs)
    # And the result is what it is said to be.
    distances = ((rows[:, None] - np.asarray(found.centroids, np.float64)[None]) ** 2).sum(-1)
    np.testing.assert_array_equal(found.nearest, distances.argmin(1))
    np.testing.assert_allclose(found.inertia, distances.min(1).sum(), rtol=1e-4)


def test_the_start_takes_distant_points():
    """One of each of the blobs, where points drawn uniformly would miss a third of them."""
    rows = blobs(0, spread=0.01)
    for seed in range(5):
        found = CLUSTER(jax.random.key(seed), jnp.asarray(rows, jnp.float32), 12, 0)
        assert len(np.unique(found.nearest)) == 12
        assert found.inertia < 1.0


def test_an_empty_cluster_takes_the_point_that_is_furthest(monkeypatch):
    rows = jnp.array([[0.0], [1.0], [2.0], [30.0]])
    monkeypatch.setattr(module, "_start", lambda *_: jnp.array([[-8.0], [100.0], [200.0]]))
    # The start is about the mean, 8.25: all points are of the first cluster, at 0.25.
    found = kmeans(jax.random.key(0), rows, 3, 1)
    centroids = np.sort(np.asarray(found.centroids)[:, 0])
    np.testing.assert_allclose(centroids, [2.0, 8.25, 30.0], atol=1e-4)
    found = kmeans(jax.random.key(0), rows, 3, 5)
    assert len(np.unique(found.nearest)) == 3


def test_points_that_do_not_take_part_move_nothing():
    rows, known = blobs(2, size=100), np.random.default_rng(2).random(100) < 0.5
    rows[~known] *= 1e3
    found = CLUSTER(jax.random.key(0), jnp.asarray(rows), 6, 20, jnp.asarray(known))
    assert np.all(np.asarray(found.nearest)[~known] == -1)
    for cluster in range(6):
        mean = rows[np.asarray(found.nearest) == cluster].mean(0)
        np.testing.assert_allclose(found.centroids[cluster], mean, atol=1e-3)


def test_fewer_different_points_than_clusters_leave_some_empty():
    rows = jnp.array([[0.0, 1.0]] * 3 + [[2.0, 3.0]] * 3)
    found = CLUSTER(jax.random.key(0), rows, 4, 5)
    assert found.inertia == 0.0
    assert np.all(np.isfinite(found.centroids))
    assert len(np.unique(found.nearest)) == 2


def test_many_centroids_are_compared_in_parts(monkeypatch):
    rows = jnp.asarray(blobs(3, size=80), jnp.float32)
    whole = kmeans(jax.random.key(1), rows, 10, 4)
    monkeypatch.setattr(module, "_CENTROIDS", 3)
    parts = kmeans(jax.random.key(1), rows, 10, 4)
    np.testing.assert_array_equal(parts.nearest, whole.nearest)
    np.testing.assert_allclose(parts.centroids, whole.centroids, rtol=1e-5)


def test_points_on_eight_devices_are_clustered_alike_where_they_lie():
    rows = jnp.asarray(blobs(4, size=640), jnp.float32)
    whole = CLUSTER(jax.random.key(2), rows, 8, 10)
    [sharded] = on_eight_devices([rows])
    compiled = CLUSTER.lower(jax.random.key(2), sharded, 8, 10).compile()
    eight = compiled(jax.random.key(2), sharded)
    np.testing.assert_array_equal(eight.nearest, whole.nearest)
    np.testing.assert_allclose(eight.centroids, whole.centroids, rtol=1e-4, atol=1e-5)
    sizes = collective_sizes(compiled.as_text())
    assert sizes
    assert max(sizes) <= 640 < rows.size


@pytest.mark.parametrize("clusters", [0, 5])
def test_as_many_clusters_as_points_at_most(clusters):
    with pytest.raises(ValueError, match="from 1 to 4"):
        kmeans(jax.random.key(0), jnp.zeros((4, 2)), clusters)
