"""Boxes against loops in float64, and a greedy choice against one that is written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops import box_targets, boxes


def drawn(rng, count, most=100.0):
    corners = rng.uniform(0, most, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, most / 2, (count, 2))], axis=1)


def overlap(a, b):
    """(IoU, GIoU) of two boxes."""
    sides = [max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]), 0.0) for i in (0, 1)]
    both = sides[0] * sides[1]
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return both / union, both / union - (hull - union) / hull


def test_overlaps_are_those_of_float64():
    rng = np.random.default_rng(0)
    a, b = drawn(rng, 12), drawn(rng, 12)
    every = boxes.pairwise_iou(jnp.asarray(a), jnp.asarray(b))
    expected = [[overlap(x, y)[0] for y in b] for x in a]
    np.testing.assert_allclose(every, expected, rtol=1e-4, atol=1e-6)
    assert 0.1 < np.mean(np.array(expected) > 0) < 0.9
    np.testing.assert_allclose(boxes.paired_iou(jnp.asarray(a), jnp.asarray(b)), np.diag(every))
    found = boxes.generalized_iou(jnp.asarray(a), jnp.asarray(b))
    expected = [overlap(x, y)[1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert min(expected) < -0.3


def test_points_have_no_overlap_and_no_nan():
    point = jnp.array([[3.0, 3.0, 3.0, 3.0]])
    for overlaps in (boxes.paired_iou, boxes.generalized_iou):
        value, slope = jax.value_and_grad(lambda x, f=overlaps: f(x, point)[0])(point)
        assert float(value) == 0.0
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_what_stays_is_what_a_greedy_loop_keeps(threshold):
    rng = np.random.default_rng(1)
    rows, scores, classes = drawn(rng, 60, 40.0), rng.random(60), rng.integers(0, 3, 60)
    scores[:5] = 0.0
    left, kept = [i for i in np.argsort(-scores) if scores[i] > 0], []
    while left:
        best, *rest = left
        kept.append(best)
        left = [
            i
            for i in rest
            if classes[i] != classes[best] or overlap(rows[i], rows[best])[0] <= threshold
        ]
    assert 10 < len(kept) < 54
    for count in (8, 60):
        found = jax.jit(boxes.non_maximum_suppression, static_argnums=(3, 4))(
            jnp.asarray(rows, jnp.float32),
            jnp.asarray(scores, jnp.float32),
            jnp.asarray(classes, jnp.int32),
            count,
            threshold,
        )
        padded = (kept + [-1] * count)[:count]
        assert found.tolist() == padded


def assigned(places, strides, ranges, things, classes, radius):
    """FCOS's rule, place by place."""
    result = []
    for (y, x), stride, (low, high) in zip(places, strides, ranges, strict=True):
        best, area = -1, np.inf
        for k, (top, left, bottom, right) in enumerate(things):
            sides = y - top, x - left, bottom - y, right - x
            middle = (top + bottom) / 2, (left + right) / 2
            reach = radius * stride or np.inf
            is_near = abs(y - middle[0]) < reach and abs(x - middle[1]) < reach
            fits = min(sides) > 0 and low <= max(sides) <= high and is_near
            size = (bottom - top) * (right - left)
            if fits and classes[k] >= 0 and size < area:
                best, area = k, size
        result.append(best)
    return result


@pytest.mark.parametrize("radius", [0.0, 1.5])
def test_places_answer_for_the_smallest_box_of_their_level(radius):
    rng = np.random.default_rng(2)
    things, classes = drawn(rng, 12, 60.0), rng.integers(-1, 3, 12)
    levels = [box_targets.map_places(12, 12, 8.0), box_targets.map_places(6, 6, 16.0)]
    places, sizes = np.concatenate(levels), [len(x) for x in levels]
    strides = np.repeat(np.array([8.0, 16.0], np.float32), sizes)
    ranges = np.repeat(np.array([[-1, 24], [24, np.inf]], np.float32), sizes, axis=0)
    found = box_targets.assign_boxes(
        jnp.asarray(places),
        jnp.asarray(strides),
        jnp.asarray(ranges),
        jnp.asarray(things, jnp.float32),
        jnp.asarray(classes),
        radius,
    )
    expected = assigned(places, strides, ranges, things, classes, radius)
    assert found.tolist() == expected
    assert len(set(expected)) > 4


def test_distances_center_ness_and_boxes_belong_together():
    rng = np.random.default_rng(3)
    things = jnp.asarray(drawn(rng, 20), jnp.float32)
    shares = rng.uniform(0, 1, (20, 2))
    places = things[:, :2] + shares * (things[:, 2:] - things[:, :2])
    distances = box_targets.box_distances(places, things)
    np.testing.assert_allclose(box_targets.boxes_at(places, distances), things, rtol=1e-5)
    nearer = np.minimum(shares, 1 - shares) / np.maximum(shares, 1 - shares)
    expected = np.sqrt(nearer.prod(axis=1))
    np.testing.assert_allclose(box_targets.center_ness(distances), expected, rtol=1e-3)
    beyond = box_targets.box_distances(things[:, :2] - 1.0, things)
    np.testing.assert_array_equal(box_targets.center_ness(beyond), 0.0)
