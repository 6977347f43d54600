"""Masks: how much they hide, and that nothing but key and place decides what."""

import functools

import jax
import numpy as np
import pytest

from ssljax.ops.masking import blockwise_masks, context_and_targets, unit_masks


def test_units_are_hidden_whole_and_every_example_hides_as_many():
    mask = np.asarray(unit_masks(jax.random.key(0), 64, (6, 4), 2, 0.6)).reshape(64, 3, 2, 2, 2)
    whole, some = mask.all(axis=(2, 4)), mask.any(axis=(2, 4))
    np.testing.assert_array_equal(whole, some)
    np.testing.assert_array_equal(whole.sum(axis=(1, 2)), 4)  # Of 6 squares, 3.6 rounded up.
    # Each square is hidden in two thirds of the examples, give or take four deviations.
    np.testing.assert_allclose(whole.mean(axis=0), 2 / 3, atol=4 * np.sqrt(2 / 9 / 64))


def test_a_mask_does_not_depend_on_the_batch_it_is_made_in():
    many, few = (np.asarray(unit_masks(jax.random.key(1), n, (4, 4), 1, 0.5)) for n in (16, 3))
    np.testing.assert_array_equal(many[:3], few)
    assert len({tuple(row) for row in many}) > 8


@pytest.mark.parametrize(
    ("unit", "ratio", "message"),
    [(3, 0.5, "4x4 patches cannot be hidden in squares of 3x3"), (2, 0.8, "hides 4 of 4 squares")],
)
def test_impossible_units_are_told(unit, ratio, message):
    with pytest.raises(ValueError, match=message):
        unit_masks(jax.random.key(0), 2, (4, 4), unit, ratio)


@pytest.mark.parametrize("grid", [(14, 14), (7, 5)])
def test_blocks_hide_nearly_what_is_asked_for_and_never_more(grid):
    patches = grid[0] * grid[1]
    counts = np.linspace(0, 0.5 * patches, 64).astype(np.float32)
    make = jax.jit(functools.partial(blockwise_masks, grid=grid, smallest=4))
    mask = np.asarray(make(jax.random.key(0), counts))
    hidden = mask.sum(axis=1)
    assert np.all(hidden <= counts)
    assert not hidden[counts < 1].any()
    # Of what is asked for, blocks leave a few patches: less than the smallest block and a half.
    assert np.mean((counts - hidden)[counts > 6]) < 3
    # Blocks, and no dust: most hidden patches have a hidden neighbour beside or below them.
    tables = mask.reshape(-1, *grid)
    beside = (tables[:, :, 1:] & tables[:, :, :-1]).sum() + (tables[:, 1:] & tables[:, :-1]).sum()
    assert beside > hidden.sum()
    assert tables.any(axis=(0, 1)).all()
    assert tables.any(axis=(0, 2)).all()
    few = np.asarray(make(jax.random.key(0), counts[:32]))
    np.testing.assert_array_equal(few, mask[:32])
    assert np.any(np.asarray(make(jax.random.key(1), counts)) != mask)


@functools.cache
def blocks(seed, batch=32, grid=(14, 12)):
    """Context and targets as tables of the grid."""

    def table(places, present):
        mask = np.zeros((*places.shape[:-1], grid[0] * grid[1]), bool)
        np.put_along_axis(mask, np.asarray(places), np.asarray(present), axis=-1)
        return mask.reshape(*places.shape[:-1], *grid)

    make = jax.jit(functools.partial(context_and_targets, batch=batch, grid=grid))
    found = make(jax.random.key(seed))
    return found, table(*found[:2]), table(*found[2:])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_targets_are_blocks_of_one_size_within_the_papers_ranges(seed):
    found, _, targets = blocks(seed)
    assert np.all(np.sum(found.targets_present, axis=2) == targets.sum(axis=(2, 3)))
    rows, columns = targets.any(axis=3).sum(axis=2), targets.any(axis=2).sum(axis=2)
    np.testing.assert_array_equal(rows * columns, targets.sum(axis=(2, 3)))
    assert len(np.unique(rows)) == len(np.unique(columns)) == 1
    height, width = rows[0, 0], columns[0, 0]
    # Half a patch may have been added or taken away on either side.
    assert (height - 0.5) * (width - 0.5) <= 0.2 * 168
    assert (height + 0.5) * (width + 0.5) >= int(0.15 * 168)
    assert (height + 0.5) / (width - 0.5) >= 0.75
    assert (height - 0.5) / (width + 0.5) <= 1.5


@pytest.mark.parametrize("seed", [0, 1])
def test_context_is_a_square_without_the_targets(seed):
    found, context, targets = blocks(seed)
    covered = targets.any(axis=1)
    assert not np.any(context & covered)
    counts = np.sum(found.context_present, axis=1)
    assert counts.min() > 10
    assert counts.max() <= found.context.shape[1] == 84
    assert len(set(map(tuple, np.asarray(found.context[:1])))) == 1
    side = round(np.sqrt(168 * 0.85))
    for mask, hidden, count in zip(context, covered, counts, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert np.ptp(rows) < 13
        assert np.ptp(columns) < 11
        # All that the block sees is kept, up to the capacity.
        box = ~hidden[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert count == min(box.sum(), 84)
    assert side > 11  # So the columns of the block are one fewer than the grid's.


def test_blocks_are_anywhere_and_others_in_every_example_and_for_every_key():
    _, context, targets = blocks(0)
    everywhere = targets.any(axis=(0, 1))
    assert everywhere[0].any()
    assert everywhere[-1].any()
    assert everywhere[:, 0].any()
    assert everywhere[:, -1].any()
    assert len({mask.tobytes() for mask in targets.reshape(128, -1)}) > 32
    assert np.any(targets != blocks(1)[2])
    few = blocks(0, batch=3)
    np.testing.assert_array_equal(few[1], context[:3])
    np.testing.assert_array_equal(few[2], targets[:3])


def test_impossible_blocks_are_told():
    with pytest.raises(ValueError, match=r"from 0 to 0\.2"):
        context_and_targets(jax.random.key(0), 1, (4, 4), target_scale=(0, 0.2))
    with pytest.raises(ValueError, match="4x1 patches"):
        context_and_targets(jax.random.key(0), 1, (4, 1))
