"""Masks: how much they hide, and that nothing but key and place decides what."""

import jax
import numpy as np
import pytest

from ssljax.ops.masking import unit_masks


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
