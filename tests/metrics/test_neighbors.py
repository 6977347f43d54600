"""Nearest real images."""

import numpy as np
import pytest

from ssljax import metrics
from ssljax.metrics import neighbors


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_neighbors_are_those_of_all_distances_whatever_the_chunks(monkeypatch, dtype):
    monkeypatch.setattr(neighbors, "_CHUNK", 7)
    rng = np.random.default_rng(0)
    queries, rows = (rng.integers(0, 256, (n, 6)).astype(dtype) for n in (5, 40))
    apart = queries[:, None].astype(np.float64) - rows[None].astype(np.float64)
    wanted = np.argsort(np.sum(apart**2, axis=2), axis=1, kind="stable")[:, :3]
    for parts in ([rows], [rows[:1], rows[1:30], rows[30:]]):
        assert np.array_equal(metrics.nearest_rows(queries, parts, 3), wanted)


def test_a_copy_is_found_and_comes_first():
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    places = metrics.nearest_rows(rows[[7, 21]], [rows], 2)
    assert places[:, 0].tolist() == [7, 21]
