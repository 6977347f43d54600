"""Average precision: worked by hand, and as COCO's own evaluation counts it."""

import numpy as np
import pytest

from ssljax.metrics import (
    COCO_IOUS,
    Found,
    Truth,
    coco_average_precision,
    official_average_precision,
    voc_average_precision,
)


def boxes(*rows):
    return np.array(rows, float).reshape(-1, 4)


def found(rows, classes, scores):
    return Found(boxes(*rows), np.array(classes, int), np.array(scores, float))


def truth(rows, classes, crowd=(), ignored=(), areas=None):
    count = len(classes)
    flags = [np.isin(np.arange(count), numbers) for numbers in (crowd, ignored)]
    return Truth(boxes(*rows), np.array(classes, int), *flags, areas)


THINGS = [(0, 0, 10, 10), (20, 20, 30, 30), (40, 40, 50, 50), (60, 60, 70, 70)]
SAID = [
    THINGS[0],  # Right.
    (100, 100, 110, 110),  # Nothing is there.
    THINGS[1],  # Right.
    (0, 0, 10, 9),  # Found already.
    (40, 40, 50, 46),  # IoU 0.6.
]
SCORES = [0.9, 0.8, 0.7, 0.6, 0.5]
"""Of four things three are found: after 1, 3 and 5 boxes, so with precision 1, 2/3 and 3/5."""


def test_a_case_by_hand():
    pairs = [(found(SAID, [0] * 5, SCORES), truth(THINGS, [0] * 4))]
    # 101 recalls: 26 up to 0.25, 25 up to 0.5, 25 up to 0.75, and none beyond.
    at_half = (26 * 1 + 25 * 2 / 3 + 25 * 3 / 5) / 101
    at_most = (26 * 1 + 25 * 2 / 3) / 101
    values = coco_average_precision(pairs, 2, (0.5, 0.6, 0.65))
    np.testing.assert_allclose(values[:, 0], [at_half, at_half, at_most], rtol=1e-12)
    assert np.isnan(values[:, 1]).all()
    # 11 recalls: three up to 0.2, three up to 0.5, two up to 0.7.
    old = voc_average_precision(pairs, 2, points=11)
    np.testing.assert_allclose(old[0], (3 + 3 * 2 / 3 + 2 * 3 / 5) / 11, rtol=1e-12)
    new = voc_average_precision(pairs, 2)
    np.testing.assert_allclose(new[0], (1 + 2 / 3 + 3 / 5) / 4, rtol=1e-12)
    assert np.isnan(new[1])


def test_voc_counts_last_pixels_and_looks_at_the_nearest_thing_alone():
    # 11x11 and 11x6 pixels share 66 of 121: more than half, which 10x10 and 10x5 do not.
    pairs = [(found([(0, 0, 10, 5)], [0], [0.9]), truth([(0, 0, 10, 10)], [0]))]
    assert voc_average_precision(pairs, 1)[0] == 1
    assert voc_average_precision(pairs, 1, pixel=0.0)[0] == 1  # Half of it is enough.
    assert voc_average_precision(pairs, 1, threshold=0.51, pixel=0.0)[0] == 0
    # 10x5 of 10x10 pixels, their last ones counted in.
    half = [(found([(0, 0, 9, 4)], [0], [0.9]), truth([(0, 0, 9, 9)], [0]))]
    assert voc_average_precision(half, 1)[0] == 1
    # Both boxes overlap the first thing most; COCO gives the second one the thing that is left.
    things = truth([(0, 0, 20, 20), (0, 3, 20, 23)], [0, 0])
    said = found([(0, 0, 20, 20), (0, 1, 20, 21)], [0, 0], [0.9, 0.8])
    assert voc_average_precision([(said, things)], 1)[0] == 0.5
    assert coco_average_precision([(said, things)], 1, (0.5,))[0, 0] == pytest.approx(1)


def test_what_is_not_asked_for_is_neither_merit_nor_fault():
    said = found([THINGS[1], THINGS[1], THINGS[0]], [0, 0, 0], [0.9, 0.8, 0.7])
    things = truth(THINGS[:2], [0, 0], ignored=[1])
    # VOC leaves both boxes out, COCO only the first of them: the second matches nothing.
    assert voc_average_precision([(said, things)], 1)[0] == 1
    assert coco_average_precision([(said, things)], 1, (0.5,))[0, 0] == pytest.approx(0.5)
    crowd = truth(THINGS[:2], [0, 0], crowd=[1])
    assert coco_average_precision([(said, crowd)], 1, (0.5,))[0, 0] == pytest.approx(1)


def test_without_boxes_it_is_nothing_and_without_things_nan():
    nothing = found([], [], [])
    assert coco_average_precision([(nothing, truth(THINGS, [0] * 4))], 1, (0.5,))[0, 0] == 0
    assert voc_average_precision([(nothing, truth(THINGS, [0] * 4))], 1)[0] == 0
    assert np.isnan(coco_average_precision([(nothing, truth([], []))], 1, (0.5,))[0, 0])
    both = [(nothing, truth(THINGS, [0] * 4))], 2, (0.5, 0.7)
    np.testing.assert_array_equal(official_average_precision(*both), coco_average_precision(*both))
    small = *both, 100, (0, 50)  # No thing is as small.
    np.testing.assert_array_equal(
        official_average_precision(*small), coco_average_precision(*small)
    )
    assert np.isnan(coco_average_precision(*small)).all()


@pytest.mark.parametrize("right", [3, 6, 7])
def test_a_recall_of_tenths_reaches_its_tenth(right):
    rows = [(20 * i, 0, 20 * i + 10, 10) for i in range(10)]
    said = found(rows[:right], [0] * right, np.linspace(0.9, 0.5, right))
    old = voc_average_precision([(said, truth(rows, [0] * 10))], 1, points=11)
    np.testing.assert_allclose(old[0], (right + 1) / 11, rtol=1e-12)


def drawn(rng, images=30, classes=3):
    """Things in images, and boxes near some of them, with crowds and with scores that are tied."""
    pairs = []
    for _ in range(images):
        count = rng.integers(0, 7)
        corner, sides = rng.uniform(0, 200, (count, 2)), rng.uniform(8, 140, (count, 2))
        rows = np.concatenate([corner, corner + sides], axis=1)
        kinds = rng.integers(0, classes - 1, count)  # The last class never is.
        things = Truth(
            rows,
            kinds,
            rng.random(count) < 0.15,
            np.zeros(count, bool),
            rng.uniform(0.5, 1, count) * sides.prod(axis=1),
        )
        near = np.repeat(rows, 3, axis=0) + rng.normal(0, 6, (3 * count, 4))
        far = rng.uniform(0, 150, (4, 2))
        near = np.concatenate([near, np.concatenate([far, far + 50], axis=1)])
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        said = np.concatenate([np.repeat(kinds, 3), rng.integers(0, classes, 4)])
        scores = np.round(rng.random(len(near)), 2)
        pairs.append((Found(near, said, scores), things))
    return pairs


@pytest.mark.parametrize(
    ("areas", "most"),
    [((0, np.inf), 100), ((0, 32**2), 100), ((32**2, 96**2), 100), ((96**2, np.inf), 2)],
)
def test_it_is_what_cocos_evaluation_counts(areas, most):
    pairs = drawn(np.random.default_rng(0))
    own = coco_average_precision(pairs, 3, most=most, areas=areas)
    assert own.shape == (len(COCO_IOUS), 3)
    expected = official_average_precision(pairs, 3, most=most, areas=areas)
    np.testing.assert_allclose(own, expected, atol=1e-6)
    assert np.nanmin(own[0]) > 0.05
    assert np.nanmax(own) < 0.95
