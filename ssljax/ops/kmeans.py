"""Clustering on the sphere."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Float32, Int32

from ssljax.ops.axes import AxisName, on_any_mesh, sum_over
from ssljax.ops.floats import as_float32
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import inner_products

_BLOCK = 4096
"""Rows whose similarities to all centroids are in memory at one time."""


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
