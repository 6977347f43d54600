"""Sets of permutations, against the procedure carried out literally."""

import itertools
import math

import numpy as np
import pytest

from ssljax.ops.permutations import (
    greedy_permutations,
    hamming_distances,
    permutation_set,
    stored_permutations,
)


def test_the_stored_set_is_what_the_procedure_gives():
    stored = stored_permutations()
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, greedy_permutations(1000))
    np.testing.assert_array_equal(permutation_set(100), stored[:100])


@pytest.mark.parametrize(("count", "nearest", "mean"), [(100, 6, 8.08), (1000, 5, 8.008)])
def test_the_stored_sets_have_their_distances(count, nearest, mean):
    chosen = permutation_set(count)
    np.testing.assert_array_equal(np.sort(chosen, axis=1), np.tile(np.arange(9), (count, 1)))
    distances = hamming_distances(chosen)
    assert len(distances) == count * (count - 1) // 2
    assert distances.min() == nearest
    assert distances.mean() == pytest.approx(mean, abs=5e-4)


def most_possible_mean(count, parts):
    """Agreements are fewest where every value is in every place as often."""
    often, over = divmod(count, parts)
    pairs = (parts - over) * math.comb(often, 2) + over * math.comb(often + 1, 2)
    return parts - parts * pairs / math.comb(count, 2)


@pytest.mark.parametrize("count", [100, 1000])
def test_no_set_of_nine_parts_has_a_larger_mean(count):
    mean = hamming_distances(permutation_set(count)).mean()
    assert mean == pytest.approx(most_possible_mean(count, 9), rel=1e-5)


@pytest.mark.parametrize("first", ["nearest", "mean"])
def test_each_is_the_farthest_from_those_before_it(first):
    every = np.array(list(itertools.permutations(range(5))))
    chosen = greedy_permutations(30, parts=5, first=first, seed=3)
    for number in range(1, 30):
        before = chosen[:number].astype(int)
        left = np.array([p for p in every if not (before == p).all(axis=1).any()])
        distances = (left[:, None] != before[None]).sum(axis=2)
        ranks = [
            (d.min(), d.sum()) if first == "nearest" else (d.sum(), d.min()) for d in distances
        ]
        own = ranks[int(np.flatnonzero((left == chosen[number]).all(axis=1))[0])]
        assert own == max(ranks)


def test_the_seed_decides_and_small_sets_begin_large_ones():
    first = greedy_permutations(24, parts=4, seed=1)
    assert len(np.unique(first, axis=0)) == 24
    np.testing.assert_array_equal(first[:10], greedy_permutations(10, parts=4, seed=1))
    assert not np.array_equal(first, greedy_permutations(24, parts=4, seed=2))


def test_impossible_sets_are_refused():
    with pytest.raises(ValueError, match="24 permutations, so there is no set of 25"):
        permutation_set(25, parts=4)
    with pytest.raises(ValueError, match="2 to 9 parts"):
        permutation_set(25, parts=16)
