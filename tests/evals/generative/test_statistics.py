"""Mean and covariance of features that come in batches."""

import numpy as np
import pytest

from ssljax.evals.generative import Moments


def rows(count=100, dim=5, offset=0.0):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(count, dim)) * np.arange(1, dim + 1) + offset).astype(np.float32)


def of(*batches):
    moments = Moments(batches[0].shape[1])
    for batch in batches:
        moments.update(batch)
    return moments


@pytest.mark.parametrize("size", [1, 7, 50, 100])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_batches_give_what_all_rows_at_once_give(size, offset):
    x = rows(offset=offset)
    found = of(*(x[start : start + size] for start in range(0, len(x), size)))
    exact = x.astype(np.float64)
    assert found.count == 100
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-13, atol=1e-13)
    # In float32, or as a difference of two sums of squares, the offset would eat the digits.
    np.testing.assert_allclose(found.covariance, np.cov(exact, rowvar=False), rtol=1e-9, atol=1e-10)


def test_features_that_are_not_finite_are_refused():
    x = rows()
    x[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        of(x)


def test_one_row_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 rows, not 1"):
        _ = of(rows(1)).covariance
