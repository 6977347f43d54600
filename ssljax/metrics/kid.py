"""Kernel distance between two sets of features: with Inception features, KID."""

import numpy as np
from jaxtyping import Array, Float


def squared_mmd(
    x: Float[Array | np.ndarray, "rows dim"], y: Float[Array | np.ndarray, "others dim"]
) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy with a cubic kernel.

    The kernel is (xᵀy / dim + 1)³. The estimate is 0 on average where both sets come from the same
    distribution, and may be below 0.

    Args:
      x: Features of one set, at least 2 rows.
      y: Features of the other, at least 2 rows.

    Returns:
      The estimate.

    Raises:
      ValueError: If a set has fewer than 2 rows.

    Reference:
      Gretton et al., A Kernel Two-Sample Test, JMLR 2012, eq. 3. Kernel: Bińkowski et al.,
      Demystifying MMD GANs (arXiv:1801.01401), 2018, section 4.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"The kernel distance needs at least 2 rows a set, not {n} and {m}.")
    x, y = np.asarray(x).astype(np.float64), np.asarray(y).astype(np.float64)
    within_x, within_y = _kernel(x, x), _kernel(y, y)
    return float(
        (within_x.sum() - np.trace(within_x)) / (n * (n - 1))
        + (within_y.sum() - np.trace(within_y)) / (m * (m - 1))
        - 2.0 * _kernel(x, y).mean()
    )


def kernel_distance(
    x: Float[Array | np.ndarray, "rows dim"],
    y: Float[Array | np.ndarray, "others dim"],
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float | None]:
    """Averages `squared_mmd` over random subsets of both sets.

    Args:
      x: Features of one set.
      y: Features of the other.
      subsets: How many pairs of subsets are drawn.
      subset_size: Rows of a subset, drawn without replacement.
      seed: Of the draws.

    Returns:
      Mean and standard deviation (of the subsets' values, not of their mean) over the subsets.
      Where a subset is a whole set the deviation is None: every draw of that set is the same, and
      the deviation would be too small, or 0.

    Raises:
      ValueError: If a subset is larger than a set or has fewer than 2 rows, or there is none.

    Reference:
      Bińkowski et al., Demystifying MMD GANs (arXiv:1801.01401), 2018, section 4.
    """
    if subsets < 1 or not 2 <= subset_size <= min(len(x), len(y)):
        raise ValueError(
            f"{subsets} subset(s) of {subset_size} rows cannot be drawn from sets of {len(x)} and "
            f"{len(y)}: draw at least 1, of at least 2 rows and no more than the smaller set has."
        )
    rng = np.random.default_rng(seed)
    x, y = np.asarray(x), np.asarray(y)
    values = [
        squared_mmd(
            x[rng.choice(len(x), subset_size, replace=False)],
            y[rng.choice(len(y), subset_size, replace=False)],
        )
        for _ in range(1 if subset_size == len(x) == len(y) else subsets)
    ]
    whole = subset_size == min(len(x), len(y))
    return float(np.mean(values)), None if whole else float(np.std(values))


def _kernel(
    x: Float[np.ndarray, "rows dim"], y: Float[np.ndarray, "others dim"]
) -> Float[np.ndarray, "rows others"]:
    values = x @ y.T / x.shape[1] + 1.0
    # NumPy's power takes ten times as long.
    return values * values * values
