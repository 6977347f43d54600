"""The real images nearest to a generated one."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int, Real

_CHUNK = 4096


def nearest_rows(
    queries: Real[np.ndarray, "queries dim"],
    parts: Iterable[Real[np.ndarray, "_ dim"]],
    count: int,
) -> Int[np.ndarray, "queries found"]:
    """Finds the rows at the smallest Euclidean distance from each query.

    Args:
      queries: Features, or pixels, of generated images.
      parts: Those of real images, part by part; no part is held once the next one comes.
      count: How many are wanted; all, where there are fewer rows.

    Returns:
      Their places, counted over all parts, nearest first and, where two are as near, in the rows'
      order.
    """
    # Takes seconds to import, and is needed once per picture.
    from sklearn.metrics import euclidean_distances

    queries = queries.astype(np.float64)
    distances = [
        euclidean_distances(queries, part[start : start + _CHUNK].astype(np.float64))
        for part in parts
        for start in range(0, len(part), _CHUNK)
    ]
    return np.argsort(np.concatenate(distances, axis=1), axis=1, kind="stable")[:, :count]
