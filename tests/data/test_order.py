"""The order of the samples: permutations, their independence, and the cut into rows."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ssljax.data import Order
from ssljax.errors import UserError


def _epoch(order, epoch):
    """All samples of one epoch, batch by batch, for one batch a step."""
    steps = range(epoch * order.batches_per_epoch, (epoch + 1) * order.batches_per_epoch)
    return np.concatenate([order.indices(step)[:, 0] for step in steps])


def test_an_epoch_holds_each_sample_at_most_once():
    order = Order(size=50, batch_size=8, seed=3)
    assert order.batches_per_epoch == 6
    for epoch in range(3):
        samples = _epoch(order, epoch)
        assert len(samples) == 48
        assert len(set(samples.tolist())) == 48
        assert samples.min() >= 0
        assert samples.max() < 50


def test_each_epoch_leaves_out_other_samples():
    order = Order(size=50, batch_size=8, seed=0)
    left_out = [frozenset(range(50)) - set(_epoch(order, epoch).tolist()) for epoch in range(8)]
    assert len(set(left_out)) > 1


def test_epochs_and_seeds_share_no_permutation():
    # A plain seed + epoch would give seed 1, epoch 0 the permutation of seed 0, epoch 1.
    epochs = [
        tuple(_epoch(Order(size=40, batch_size=10, seed=seed), epoch))
        for seed in range(4)
        for epoch in range(4)
    ]
    assert len(set(epochs)) == 16


def test_places_are_spread_evenly():
    """Over many epochs, the first place of the first batch takes every sample about as often."""
    order = Order(size=10, batch_size=10, seed=1)
    counts = np.bincount([int(order.indices(step)[0, 0]) for step in range(2000)], minlength=10)
    # 200 expected, standard deviation 13.4; five of them on either side.
    assert np.abs(counts - 200).max() < 67


def test_updates_take_consecutive_batches():
    plain = Order(size=50, batch_size=8, seed=7)
    several = Order(size=50, batch_size=8, seed=7, batches_per_step=5)
    for step in range(4):
        expected = np.stack([plain.indices(5 * step + u)[:, 0] for u in range(5)], axis=1)
        np.testing.assert_array_equal(several.indices(step), expected)


def test_rows_are_parts_of_the_same_batch():
    order = Order(size=50, batch_size=8, seed=7, batches_per_step=2)
    whole = order.indices(11)
    assert whole.shape == (8, 2)
    assert whole.dtype == np.int32
    parts = [order.indices(11, slice(0, 3)), order.indices(11, range(3, 8))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_order_never_changes():
    """Written down once; a run that is continued with newer libraries must find its place again."""
    order = Order(size=7, batch_size=3, seed=11)
    assert [order.indices(step)[:, 0].tolist() for step in (0, 1, 2, 1000)] == [
        [6, 3, 5],
        [2, 4, 1],
        [4, 5, 1],
        [3, 5, 1],
    ]


def test_threads_agree():
    order = Order(size=1000, batch_size=10, seed=2)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(order.indices, range(400)))
    np.testing.assert_array_equal(got, [order.indices(step) for step in range(400)])


def test_a_late_step_costs_no_more_than_the_first():
    order = Order(size=50, batch_size=8, seed=7)
    assert order.indices(10**12).shape == (8, 1)


def test_a_set_smaller_than_a_batch_is_told():
    with pytest.raises(UserError, match=r"7 images.*batch of 8.*smaller"):
        Order(size=7, batch_size=8, seed=0)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"seed": -1}, {"batches_per_step": 0}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="at least"):
        Order(**{"size": 10, "batch_size": 2, "seed": 0, **wrong})
