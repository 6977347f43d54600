"""Precision and recall of a generator, from nearest neighbours."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ssljax.ops.similarity import inner_products

_CHUNK = (2048, 8192)


def precision_recall(
    fake: Float[Array | np.ndarray, "fakes dim"],
    real: Float[Array | np.ndarray, "reals dim"],
    k: int = 3,
    chunk: tuple[int, int] = _CHUNK,
) -> tuple[float, float]:
    """Improved precision and recall.

    A set is covered by balls around its points, each out to the point's k-th nearest neighbour in
    the set. Precision is the share of fakes that lie in a ball of the reals; recall the share of
    reals that lie in a ball of the fakes.

    Args:
      fake: Features of generated images, more than k.
      real: Features of real images, more than k.
      k: Which neighbour gives the radius, at least 1.
      chunk: Rows of (one set, the other) compared at once; changes memory and speed, never the
        result.

    Returns:
      Precision and recall, in [0, 1].

    Raises:
      ValueError: If a set has no more than k points, or k or a chunk is not positive.

    Reference:
      Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative Models
      (arXiv:1904.06991), 2019, Eqs. 1 and 2; k = 3 as in section 3.
    """
    if k < 1 or min(chunk) < 1:
        raise ValueError(f"k and chunks must be at least 1, not {k} and {chunk}.")
    if min(len(fake), len(real)) <= k:
        raise ValueError(
            f"The {k} nearest neighbours need sets of more than {k} points, not of {len(fake)} and "
            f"{len(real)}."
        )
    reals, fakes = _comparable(np.asarray(real), np.asarray(fake))
    covered_fakes = _covered(fakes, reals, _radii(reals, k, chunk), chunk)
    covered_reals = _covered(reals, fakes, _radii(fakes, k, chunk), chunk)
    return float(covered_fakes.mean()), float(covered_reals.mean())


def _comparable(
    real: Float[np.ndarray, "reals dim"], fake: Float[np.ndarray, "fakes dim"]
) -> tuple[Float[np.ndarray, "reals dim"], Float[np.ndarray, "fakes dim"]]:
    """Both sets relative to the mean of the reals, in units of their largest deviation from it.

    Distances are differences of squares in float32. Relative to the mean the squares are small, and
    in these units none of them leaves the range of float32. Which ball covers which point does not
    change.
    """
    centre = np.mean(real, axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    reals, fakes = real - centre, fake - centre
    unit = np.max(np.abs(reals))
    if unit > 0:
        reals, fakes = reals / unit, fakes / unit
    return reals, fakes


def _radii(
    points: Float[np.ndarray, "points dim"], k: int, chunk: tuple[int, int]
) -> Float[np.ndarray, "points"]:
    """Squared distance of each point to its k-th nearest other one."""
    radii = []
    for start in range(0, len(points), chunk[0]):
        queries = _rows(points, start, chunk[0])
        nearest = jnp.full((len(queries), k), jnp.inf, jnp.float32)
        for other in range(0, len(points), chunk[1]):
            keys = _rows(points, other, chunk[1])
            nearest = _merge_nearest(
                queries, keys, nearest, np.int32(start), np.int32(other), np.int32(len(points))
            )
        radii.append(np.asarray(nearest[:, -1]))
    return np.concatenate(radii)[: len(points)]


def _covered(
    points: Float[np.ndarray, "points dim"],
    centres: Float[np.ndarray, "centres dim"],
    radii: Float[np.ndarray, "centres"],
    chunk: tuple[int, int],
) -> Bool[np.ndarray, "points"]:
    """Whether each point lies in at least one ball, its surface included."""
    covered = []
    for start in range(0, len(points), chunk[0]):
        queries = _rows(points, start, chunk[0])
        inside = jnp.zeros(len(queries), bool)
        for other in range(0, len(centres), chunk[1]):
            keys = _rows(centres, other, chunk[1])
            # A padded centre has a ball that no point lies in.
            limits = np.full(len(keys), -1.0, np.float32)
            part = radii[other : other + chunk[1]]
            limits[: len(part)] = part
            inside = _merge_inside(queries, keys, inside, limits)
        covered.append(np.asarray(inside))
    return np.concatenate(covered)[: len(points)]


def _rows(
    points: Float[np.ndarray, "points dim"], start: int, size: int
) -> Float[np.ndarray, "rows dim"]:
    """Rows from `start`, zero-padded to one size for all: one shape, one program."""
    size = min(size, len(points))
    part = points[start : start + size]
    return np.pad(part, [(0, size - len(part)), (0, 0)])


@jax.jit
def _merge_nearest(
    queries: Float[Array, "queries dim"],
    keys: Float[Array, "keys dim"],
    nearest: Float[Array, "queries k"],
    start: Int[Array, ""],
    other: Int[Array, ""],
    count: Int[Array, ""],
) -> Float[Array, "queries k"]:
    """Merges squared distances to the keys into the running k smallest, in rising order."""
    row = start + jnp.arange(queries.shape[0])[:, None]
    column = other + jnp.arange(keys.shape[0])[None, :]
    distances = jnp.where((row == column) | (column >= count), jnp.inf, _distances(queries, keys))
    k = nearest.shape[1]
    found = -jax.lax.top_k(-distances, min(k, keys.shape[0]))[0]
    return -jax.lax.top_k(-jnp.concatenate([nearest, found], axis=1), k)[0]


@partial(jax.jit, donate_argnames="inside")
def _merge_inside(
    queries: Float[Array, "queries dim"],
    keys: Float[Array, "keys dim"],
    inside: Bool[Array, "queries"],
    limits: Float[Array, "keys"],
) -> Bool[Array, "queries"]:
    return inside | jnp.any(_distances(queries, keys) <= limits[None, :], axis=1)


def _distances(
    queries: Float[Array, "queries dim"], keys: Float[Array, "keys dim"]
) -> Float[Array, "queries keys"]:
    """Squared Euclidean distances, at least 0."""
    squares = jnp.sum(queries**2, axis=1)[:, None] + jnp.sum(keys**2, axis=1)[None, :]
    return jnp.maximum(squares - 2.0 * inner_products(queries, keys), 0.0)
