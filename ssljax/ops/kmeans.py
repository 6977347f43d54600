"""Clustering: k-means from a start of its own, and on the sphere from a given one."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int32, PRNGKeyArray

from ssljax.ops.axes import AxisName, on_any_mesh, sum_over
from ssljax.ops.floats import as_float32
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import inner_products, squared_distances

_BLOCK = 4096
"""Rows whose similarities to all centroids are in memory at one time."""


_CENTROIDS = 1024
"""Centroids to which the distances of all points are in memory at one time."""


class Clustering(NamedTuple):
    """What k-means finds.

    Attributes:
      centroids: Means of the clusters.
      nearest: For each point the nearest centroid, -1 for one that does not take part.
      inertia: Sum of the squared distances of the points to their centroids.
    """

    centroids: Float32[Array, "clusters dim"]
    nearest: Int32[Array, "size"]
    inertia: Float32[Array, ""]


def kmeans(
    key: PRNGKeyArray,
    points: Float[Array, "size dim"],
    clusters: int,
    iterations: int = 20,
    known: Bool[Array, "size"] | None = None,
) -> Clustering:
    """Clusters points by Lloyd's passes from a greedy k-means++ start.

    The start takes point after point, each the best of a few that are drawn with a probability that
    goes as the squared distance to those it has. A cluster that no point is nearest to takes the
    point that is furthest from its centroid; several take as many. Under `jit` the points may lie
    on several devices: nothing crosses them but centroids, sums, and a number for each point. The
    distances of all points to as many as 1024 centroids are in memory at one time, 4 KiB a point:
    where that is too much, give it a sample of them.

    Args:
      key: Of the start.
      points: In rows.
      clusters: At most as many as there are points that take part.
      iterations: Passes after the start, 0 or more.
      known: The points that take part; all of them by default.

    Returns:
      The clustering; where there are fewer different points than clusters, some have no points.

    Raises:
      ValueError: If there are fewer points than clusters, or no cluster.

    Reference:
      Arthur and Vassilvitskii, k-means++: The Advantages of Careful Seeding, 2007, with the number
      of trials and the empty clusters of scikit-learn.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[0.0], [1.0], [10.0], [12.0]])
      >>> found = kmeans(jax.random.key(0), x, 2)
      >>> print(found.nearest[0] == found.nearest[1], found.inertia)
      True 2.5
    """
    size = points.shape[0]
    if not 0 < clusters <= size:
        raise ValueError(
            f"There are {clusters} clusters; they must be from 1 to {size}, the points."
        )
    weights = jnp.ones(size) if known is None else known.astype(jnp.float32)
    rows = as_float32(points)
    # About the mean, so that squared distances lose nothing beside a large offset.
    share = weights[:, None] / jnp.maximum(jnp.sum(weights), 1.0)
    mean = jnp.sum(rows * share, axis=0, keepdims=True)
    rows = rows - mean
    centroids = _start(key, rows, weights, clusters)

    def move(_: Any, centroids: Array) -> Array:
        nearest, distances = _assign(rows, centroids)
        totals, counts = _totals(rows, weights, nearest, clusters)
        means = totals / jnp.maximum(counts, 1.0)[:, None]
        empty = counts == 0

        def refill(means: Array) -> Array:
            _, furthest = lax.top_k(distances * weights, clusters)
            place = jnp.where(empty, jnp.cumsum(empty) - 1, 0)
            return jnp.where(empty[:, None], rows[furthest[place]], means)

        return lax.cond(jnp.any(empty), refill, lambda means: means, means)

    centroids = lax.fori_loop(0, iterations, move, centroids)
    nearest, distances = _assign(rows, centroids)
    nearest = jnp.where(weights > 0, nearest, -1)
    return Clustering(centroids + mean, nearest, jnp.sum(distances * weights))


def _start(
    key: PRNGKeyArray,
    rows: Float32[Array, "size dim"],
    weights: Float32[Array, "size"],
    clusters: int,
) -> Float32[Array, "clusters dim"]:
    """The centroids of a greedy k-means++ start."""
    trials = min(2 + int(math.log(clusters)), rows.shape[0])

    def draw(number: Array, distances: Array) -> Float32[Array, "trials dim"]:
        noise = jax.random.gumbel(jax.random.fold_in(key, number), distances.shape)
        # As good as zero where all that take part lie on centroids: one of them, not of the others.
        chances = jnp.log(jnp.where(weights > 0, distances + 1e-30, 0.0))
        return rows[lax.top_k(chances + noise, trials)[1]]

    def add(number: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        centroids, distances = state
        candidates = draw(number, distances)
        closer = jnp.minimum(distances[:, None], squared_distances(rows, candidates))
        best = jnp.argmin(jnp.sum(closer * weights[:, None], axis=0))
        return centroids.at[number].set(candidates[best]), closer[:, best]

    first = draw(jnp.int32(0), jnp.ones_like(weights))[0]
    centroids = jnp.zeros((clusters, rows.shape[1])).at[0].set(first)
    state = centroids, squared_distances(rows, first[None])[:, 0]
    return lax.fori_loop(1, clusters, add, state)[0]


def _parts(clusters: int) -> list[slice]:
    return [slice(low, low + _CENTROIDS) for low in range(0, clusters, _CENTROIDS)]


def _assign(
    rows: Float32[Array, "size dim"], centroids: Float32[Array, "clusters dim"]
) -> tuple[Int32[Array, "size"], Float32[Array, "size"]]:
    """Each row's nearest centroid, the first of equals, and the squared distance to it."""
    nearest = jnp.zeros(rows.shape[0], jnp.int32)
    least = jnp.full(rows.shape[0], jnp.inf)
    for part in _parts(centroids.shape[0]):
        squares = squared_distances(rows, centroids[part])
        found = jnp.min(squares, axis=1)
        place = part.start + jnp.argmin(squares, axis=1).astype(jnp.int32)
        nearest, least = jnp.where(found < least, place, nearest), jnp.minimum(found, least)
    return nearest, least


def _totals(
    rows: Float32[Array, "size dim"],
    weights: Float32[Array, "size"],
    nearest: Int32[Array, "size"],
    clusters: int,
) -> tuple[Float32[Array, "clusters dim"], Float32[Array, "clusters"]]:
    """Sum and number of each cluster's rows."""
    totals, counts = [], []
    for part in _parts(clusters):
        numbers = jnp.arange(part.start, min(part.stop, clusters))
        chosen = (nearest[:, None] == numbers[None]).astype(jnp.float32) * weights[:, None]
        totals.append(jnp.matmul(chosen.T, rows, precision=lax.Precision.HIGHEST))
        counts.append(jnp.sum(chosen, axis=0))
    return jnp.concatenate(totals), jnp.concatenate(counts)


@on_any_mesh(like=("initial_centroids", None))
def spherical_kmeans(
    embeddings: Float[Array, "size dim"],
    initial_centroids: Float[Array, "clusters dim"],
    iterations: int = 10,
    known: Bool[Array, "size"] | None = None,
    axis_name: AxisName = None,
) -> tuple[Float32[Array, "clusters dim"], Int32[Array, "size"]]:
    """Clusters unit vectors by cosine similarity.

    Each pass assigns every row to the nearest centroid, and makes every centroid the direction of
    its rows' mean. A centroid without rows stays.

    Args:
      embeddings: Unit vectors.
      initial_centroids: Unit vectors, for instance some of the embeddings.
      iterations: Passes, 0 or more.
      known: The rows that take part; all of them by default.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the embeddings lie. The
        centroids are then those of all rows, the same on every device.

    Returns:
      The centroids, unit vectors, and for each row the nearest one, -1 where `known` is false.

    Reference:
      Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments,
      2020, appendix D; `cluster_memory` in `main_deepclusterv2.py` of facebookresearch/swav.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0], [-0.6, -0.8]])
      >>> centroids, nearest = spherical_kmeans(x, x[:3:2])
      >>> print(nearest)
      [0 0 1 1]
    """
    size, dim = embeddings.shape
    clusters = initial_centroids.shape[0]
    known = jnp.ones(size, bool) if known is None else known
    block = min(_BLOCK, size)
    padding = -size % block
    rows = jnp.pad(as_float32(embeddings), ((0, padding), (0, 0))).reshape(-1, block, dim)
    weights = jnp.pad(known, (0, padding)).astype(jnp.float32).reshape(-1, block)

    def nearest(centroids: Array, part: Array) -> Array:
        return jnp.argmax(inner_products(part, centroids), axis=1).astype(jnp.int32)

    def move(_: Any, centroids: Array) -> Array:
        def add(totals: Array, part: tuple[Array, Array]) -> tuple[Array, Any]:
            chosen = jax.nn.one_hot(nearest(centroids, part[0]), clusters) * part[1][:, None]
            return totals + jnp.matmul(chosen.T, part[0], precision=lax.Precision.HIGHEST), None

        start = jnp.zeros_like(centroids)
        if axis_name is not None:  # Until they are summed, each device has totals of its own.
            start = lax.pcast(start, axis_name, to="varying")
        totals = sum_over(lax.scan(add, start, (rows, weights))[0], axis_name)
        moves = jnp.any(totals != 0, axis=1, keepdims=True)
        return jnp.where(moves, l2_normalize(totals), centroids)

    centroids = lax.fori_loop(0, iterations, move, as_float32(initial_centroids))
    assignments = lax.map(functools.partial(nearest, centroids), rows).reshape(-1)[:size]
    return centroids, jnp.where(known, assignments, -1)
