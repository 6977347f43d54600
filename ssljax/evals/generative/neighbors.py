"""The real images that a generated one is nearest to."""

import numpy as np
from jaxtyping import Int, Real

_CHUNK = 4096


def nearest_rows(
    queries: Real[np.ndarray, "queries dim"], rows: Real[np.ndarray, "rows dim"], count: int
) -> Int[np.ndarray, "queries count"]:
    """Finds the rows at the smallest Euclidean distance from each query.

    Args:
      queries: Features, or pixels, of generated images.
      rows: Those of real images.
      count: How many are wanted, at most as many as there are rows.

    Returns:
      Their places, nearest first and, where two are as near, in the rows' order.
    """
    # Takes seconds to import, and is needed once a picture.
    from sklearn.metrics import euclidean_distances

    queries = queries.astype(np.float64)
    # Rows may be many, and bytes: never are all of them floats.
    parts = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
    distances = [euclidean_distances(queries, part.astype(np.float64)) for part in parts]
    return np.argsort(np.concatenate(distances, axis=1), axis=1, kind="stable")[:, :count]
