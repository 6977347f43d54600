"""Mean and covariance of features that come in batches."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from ssljax import mesh
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


@pytest.mark.parametrize("sizes", [(8, 1), (2, 4)])
@pytest.mark.parametrize("valid", [1, 37, 64])
def test_eight_devices_equal_one_and_padding_does_not_count(sizes, valid):
    x = rows(64)
    expected = of(x[:valid])
    devices = mesh.make_mesh(*sizes)
    for spec in (PartitionSpec(devices.axis_names), PartitionSpec("data"), PartitionSpec()):
        found = Moments(5)
        found.update(jax.device_put(x, NamedSharding(devices, spec)), valid)
        assert found.count == valid
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13, atol=1e-13)
        if valid > 1:
            np.testing.assert_allclose(
                found.covariance, expected.covariance, rtol=1e-12, atol=1e-12
            )


def test_one_process_alone_keeps_every_bit():
    found = of(rows())
    together = found.over_processes()
    assert together.count == found.count
    assert np.array_equal(together.mean, found.mean)
    assert np.array_equal(together.covariance, found.covariance)


def test_features_that_are_not_finite_are_refused():
    x = rows()
    x[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        of(x)


def test_one_row_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 rows, not 1"):
        _ = of(rows(1)).covariance
