"""Gaussian filters of any features, at a cost that grows with the number of points.

The permutohedral lattice tiles the space of features with simplices. Each point gives its value to
the corners of the simplex that it lies in (splat), the corners are blurred along the lattice's axes
(blur), and each point reads the corners back (slice). Which corners there are is found once, on the
host, by sorting; the rest is additions and gathers of fixed shapes on the device.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32, Int32

_CHUNK = 1 << 16
"""Points whose place is found at a time, so that what is needed on the way stays small."""
_LARGEST_KEY = 2**63 - 1


class Lattice(NamedTuple):
    """Where points lie among the corners of the lattice.

    Attributes:
      corners: Numbers of the d + 1 corners around each point, (d + 1, points), int32.
      weights: The point's barycentric coordinates among them, at least 0 and with sum 1.
      neighbors: The corners before and after each one, along each of the d + 1 axes,
        (d + 1, 2, slots). The last slot is always empty, and stands for corners that are missing.
    """

    corners: Int32[Array | np.ndarray, "vertices points"]
    weights: Float32[Array | np.ndarray, "vertices points"]
    neighbors: Int32[Array | np.ndarray, "vertices 2 slots"]


def build_lattice(features: Float[np.ndarray, "points dim"]) -> Lattice:
    """Finds the corners around points, and the neighbours of each corner.

    Args:
      features: The points, in units of the filter's standard deviation along each axis.

    Returns:
      The lattice, as arrays of NumPy.

    Raises:
      ValueError: If there are no points, if a feature is not finite, or if the features spread over
        so many standard deviations that the lattice's coordinates do not fit into 64 bits.

    Reference:
      Adams et al., Fast High-Dimensional Filtering Using the Permutohedral Lattice, 2010, sections
      3.1 and 3.2.

    Example:
      >>> import numpy as np
      >>> lattice = build_lattice(np.array([[0.0], [0.2]]))
      >>> print(lattice.weights.sum(axis=0))
      [1. 1.]
    """
    points, dim = features.shape
    if not points or not dim:
        raise ValueError(f"A lattice needs points with features, got {points} of {dim}.")
    if not np.isfinite(features).all():
        raise ValueError("The features of a lattice must be finite.")
    ends = np.array([(chunk.min(axis=1), chunk.max(axis=1)) for chunk in _elevated(features)])
    low, high = ends[:, 0].min(axis=0)[:dim], ends[:, 1].max(axis=0)[:dim]
    # A corner lies within d + 1 of its point along each coordinate, and a neighbour of the corner.
    margin = 2 * (dim + 1) + 1
    first = np.floor(low).astype(np.int64) - margin
    spans = [int(span) for span in np.ceil(high) - first + margin + 1]
    if np.prod(np.array(spans, object)) > _LARGEST_KEY:
        raise ValueError(
            f"The features spread over {' x '.join(map(str, spans))} places of the lattice, too "
            "many to be numbered: the standard deviations are too small for them."
        )
    # One number for each place, whose differences are those of the coordinates.
    strides = np.array([np.prod(spans[axis + 1 :], dtype=np.int64) for axis in range(dim)])
    found, places, weights = [], [], []
    for chunk in _elevated(features):
        keys, shares = _corners(chunk, first, strides)
        distinct, inverse = np.unique(keys, return_inverse=True)
        found.append(distinct)
        places.append(inverse.reshape(keys.shape).astype(np.int32))
        weights.append(shares.astype(np.float32))
    corners = np.unique(np.concatenate(found))
    numbers = (np.searchsorted(corners, distinct).astype(np.int32) for distinct in found)
    pairs = zip(numbers, places, strict=True)
    return Lattice(
        np.concatenate([number[place] for number, place in pairs], axis=1),
        np.concatenate(weights, axis=1),
        _neighbors(corners, strides),
    )


def pad_lattice(lattice: Lattice, slots: int) -> Lattice:
    """Adds empty slots, so that the lattices of several images have one shape.

    Args:
      lattice: Of `build_lattice`.
      slots: How many there are to be, at least as many as there are.

    Raises:
      ValueError: If there are more already.

    Example:
      >>> import numpy as np
      >>> pad_lattice(build_lattice(np.array([[0.0], [0.2]])), 10).neighbors.shape
      (2, 2, 10)
    """
    count = lattice.neighbors.shape[2]
    if slots < count:
        raise ValueError(f"A lattice of {count} slots cannot be brought to {slots}.")
    # What was the empty slot stays empty, and what is new points at itself or there.
    padding = [(0, 0), (0, 0), (0, slots - count)]
    return lattice._replace(neighbors=np.pad(lattice.neighbors, padding, constant_values=count - 1))


def filter_lattice(
    lattice: Lattice, values: Float[Array, "points channels"]
) -> Float[Array, "points channels"]:
    """Sums values with weights that fall with the distance of the features, nearly a Gaussian.

    The weights are exp(-½‖f - g‖²) up to a factor that is nearly the same for all points. The
    lattice is as coarse as a standard deviation: weighted means are off by about 2 % of their own
    spread for features of position alone, and by 4 to 8 % for position and colour.

    Args:
      lattice: Of the features.
      values: One row for each point.

    Returns:
      The sums, a point's own value included.

    Reference:
      Adams et al., 2010, section 3; the factor is that of Krähenbühl and Koltun's densecrf.

    Example:
      >>> import jax.numpy as jnp
      >>> import numpy as np
      >>> far = build_lattice(np.array([[0.0], [50.0]]))
      >>> print(filter_lattice(far, jnp.array([[1.0], [0.0]]))[1])
      [0.]
    """
    vertices, _, slots = lattice.neighbors.shape
    around = (jnp.asarray(lattice.corners), jnp.asarray(lattice.weights))

    def splat(at_corners: Array, vertex: tuple[Array, Array]) -> tuple[Array, None]:
        corners, weights = vertex
        return at_corners.at[corners].add(weights[:, None] * values), None

    def blur(at_corners: Array, neighbors: Array) -> tuple[Array, None]:
        return at_corners + 0.5 * (at_corners[neighbors[0]] + at_corners[neighbors[1]]), None

    def read(total: Array, vertex: tuple[Array, Array]) -> tuple[Array, None]:
        corners, weights = vertex
        return total + weights[:, None] * at_corners[corners], None

    at_corners = jnp.zeros((slots, values.shape[1]), values.dtype)
    at_corners, _ = lax.scan(splat, at_corners, around)
    at_corners, _ = lax.scan(blur, at_corners, jnp.asarray(lattice.neighbors))
    total, _ = lax.scan(read, jnp.zeros_like(values), around)
    return total / (1 + 2.0 ** (1 - vertices))


def _elevated(
    features: Float[np.ndarray, "points dim"],
) -> Iterator[Float[np.ndarray, "vertices chunk"]]:
    """The points on the plane of d + 1 coordinates with sum 0 that the lattice lies in."""
    points, dim = features.shape
    axes = np.arange(1, dim + 1)
    # The blur that follows has a variance of its own, which this scale makes 1.
    scale = np.sqrt(2 / 3) * (dim + 1) / np.sqrt(axes * (axes + 1))
    for start in range(0, points, _CHUNK):
        scaled = (features[start : start + _CHUNK].astype(np.float64) * scale).T
        rest = np.zeros((dim + 1, scaled.shape[1]))
        rest[:dim] = np.cumsum(scaled[::-1], axis=0)[::-1]
        rest[1:] -= axes[:, None] * scaled
        yield rest


def _corners(
    elevated: Float[np.ndarray, "vertices chunk"],
    first: np.ndarray,
    strides: np.ndarray,
) -> tuple[np.ndarray, Float[np.ndarray, "vertices chunk"]]:
    """The keys of the corners around points, and the points' shares in them."""
    vertices, count = elevated.shape
    dim = vertices - 1
    multiples = np.rint(elevated / vertices)
    rounded = vertices * multiples
    offset = elevated - rounded
    # The place of each coordinate when they fall; of equal ones the earlier comes first.
    rank = np.zeros((vertices, count), np.int64)
    for one in range(vertices):
        for other in range(one + 1, vertices):
            smaller = offset[one] < offset[other]
            rank[one] += smaller
            rank[other] += ~smaller
    # Where the rounded coordinates do not sum to 0, those that lie farthest off move on.
    rank += multiples.sum(axis=0).astype(np.int64)
    turns = (rank < 0).astype(np.int64) - (rank > dim)
    rank += vertices * turns
    rounded += vertices * turns
    falling = np.empty_like(elevated)
    np.put_along_axis(falling, rank, (elevated - rounded) / vertices, axis=0)
    shares = np.empty_like(elevated)
    shares[0] = 1 - falling[0] + falling[dim]
    shares[1:] = falling[dim - 1 :: -1] - falling[:0:-1]
    start = strides @ (rounded[:dim].astype(np.int64) - first[:, None])
    keys = np.empty((vertices, count), np.int64)
    for vertex in range(vertices):
        wrapped = vertices * (strides @ (rank[:dim] > dim - vertex))
        keys[vertex] = start + vertex * strides.sum() - wrapped
    return keys, shares


def _neighbors(corners: np.ndarray, strides: np.ndarray) -> Int32[np.ndarray, "vertices 2 slots"]:
    """Among sorted keys, those of the corners one step before and after along each axis."""
    count, dim = len(corners), len(strides)
    neighbors = np.full((dim + 1, 2, count + 1), count, np.int32)
    for axis in range(dim + 1):
        step = ((dim + 1) * strides[axis] if axis < dim else 0) - strides.sum()
        for side, sign in enumerate((1, -1)):
            sought = corners + sign * step
            place = np.minimum(np.searchsorted(corners, sought), count - 1)
            there = corners[place] == sought
            neighbors[axis, side, :count][there] = place[there]
    return neighbors
