"""Counts of pixels and the scores of them, by hand and one pixel at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import on_eight_devices

from ssljax.metrics import confusion_matrix, segmentation_scores

TRUTH = np.array([[0, 0, 1, 1], [2, -1, 1, 0], [-1, -1, 2, 2]])
SAID = np.array([[0, 1, 1, 1], [2, 2, 0, 0], [0, 3, 3, 2]])
# Rows are true classes; the void's three pixels are nowhere.
COUNTS = [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 2, 1], [0, 0, 0, 0]]


def test_counts_are_those_of_the_pixels_outside_the_void():
    found = confusion_matrix(TRUTH, SAID, 4)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, COUNTS)
    on_device = jax.jit(confusion_matrix, static_argnums=2)(
        jnp.asarray(TRUTH), jnp.asarray(SAID), 4
    )
    np.testing.assert_array_equal(on_device, COUNTS)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_scores_are_those_worked_out_by_hand(kind):
    found = segmentation_scores(kind(COUNTS))
    # Class 3 is said of a pixel, which counts against class 2, and of no pixel is it true.
    assert float(found["miou"]) == pytest.approx((2 / 4 + 2 / 4 + 2 / 3) / 3)
    assert float(found["class_accuracy"]) == pytest.approx((2 / 3 + 2 / 3 + 2 / 3) / 3)
    assert float(found["pixel_accuracy"]) == pytest.approx(6 / 9)


def test_a_stream_of_images_of_any_size_is_counted_as_one():
    rng = np.random.default_rng(0)
    total, right, true, said = np.zeros((5, 5), np.int64), np.zeros(5), np.zeros(5), np.zeros(5)
    for height, width in ((7, 3), (1, 40), (20, 20)):
        truth = rng.integers(-1, 5, (height, width))
        guess = np.where(rng.random((height, width)) < 0.5, truth, rng.integers(0, 5, 1))
        guess = np.maximum(guess, 0)
        total += confusion_matrix(truth, guess, 5)
        for a, b in zip(truth.ravel(), guess.ravel(), strict=True):
            if a >= 0:
                right[a] += a == b
                true[a] += 1
                said[b] += 1
    found = segmentation_scores(total)
    assert found["miou"] == pytest.approx(np.mean(right / (true + said - right)))
    assert found["class_accuracy"] == pytest.approx(np.mean(right / true))
    assert found["pixel_accuracy"] == pytest.approx(right.sum() / true.sum())


def test_eight_devices_count_what_one_counts():
    rng = np.random.default_rng(1)
    truth, said = (jnp.asarray(rng.integers(low, 4, (16, 6, 6))) for low in (-1, 0))
    count = jax.jit(confusion_matrix, static_argnums=2)
    alone, together = count(truth, said, 4), count(*on_eight_devices([truth, said]), 4)
    np.testing.assert_array_equal(alone, together)
    assert int(alone.sum()) == int(np.sum(np.asarray(truth) >= 0))


def test_without_pixels_the_scores_are_0():
    void = np.full((2, 2), -1)
    found = segmentation_scores(confusion_matrix(void, np.zeros((2, 2), int), 3))
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(
    ("truth", "said", "told"),
    [
        ([0, 5], [0, 1], "A mask has the class 5, and there are 3"),
        ([0, -2], [0, 1], "A mask has the class -2"),
        ([0, 1], [0, 3], "A prediction has the class 3"),
        ([0, 1], [-1, 1], "A prediction has the class -1"),
        ([0], [0, 1], r"Masks are \(1,\) and predictions \(2,\)"),
    ],
)
def test_what_is_no_class_is_told(truth, said, told):
    with pytest.raises(ValueError, match=told):
        confusion_matrix(np.array(truth), np.array(said), 3)
