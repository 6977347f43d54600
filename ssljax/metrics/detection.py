"""Average precision of objects that are found in images: COCO's, and Pascal VOC's two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

COCO_IOUS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""From 0.5 to 0.95: the mean over them is what is called AP."""

ANY_AREA = (0.0, float("inf"))
_RECALLS = np.linspace(0.0, 1.0, 101)
_EPSILON = np.spacing(1.0)


class Found(NamedTuple):
    """What a detector says of one image.

    Attributes:
      boxes: (top, left, bottom, right) in pixels.
      classes: From 0.
      scores: Larger ones are surer.
    """

    boxes: Float[np.ndarray, "found 4"]
    classes: Int[np.ndarray, " found"]
    scores: Float[np.ndarray, " found"]


class Truth(NamedTuple):
    """What is in one image.

    Attributes:
      boxes: (top, left, bottom, right) in pixels.
      classes: From 0.
      crowd: Which are many things together: to find them is no merit and no fault, any number of
        times, and a box matches if it lies within.
      ignored: Which are not asked for: to find one is neither, once.
      areas: In square pixels; None for those of the boxes. COCO's are those of the masks.
    """

    boxes: Float[np.ndarray, "truths 4"]
    classes: Int[np.ndarray, " truths"]
    crowd: Bool[np.ndarray, " truths"]
    ignored: Bool[np.ndarray, " truths"]
    areas: Float[np.ndarray, " truths"] | None = None


Pairs = Sequence[tuple[Found, Truth]]
"""An entry for each image."""


def coco_average_precision(
    pairs: Pairs,
    num_classes: int,
    thresholds: Sequence[float] = COCO_IOUS,
    most: int = 100,
    areas: tuple[float, float] = ANY_AREA,
) -> Float[np.ndarray, "thresholds classes"]:
    """Average precision as COCO counts it, at several IoUs.

    In each image the surest box chooses first, of the things of its class that are not taken yet
    the one with the largest IoU, if that reaches the threshold; things that are asked for come
    before the others. Precision is made to fall with recall, and averaged at 101 recalls.

    Args:
      pairs: What is found and what is there.
      num_classes: How many classes there are.
      thresholds: IoUs from which a box matches.
      most: Boxes of one class in one image that are looked at.
      areas: Least and greatest area of the things that are asked for; boxes of another area that
        match nothing are no fault. COCO's small things are up to 32², its large ones from 96².

    Returns:
      The average precision of each class; NaN where nothing of a class is asked for.

    Reference:
      Lin et al., Microsoft COCO (arXiv:1405.0312), 2014; `cocoeval.py` of cocodataset/cocoapi.
    """
    values = np.full((len(thresholds), num_classes), np.nan)
    for number in range(num_classes):
        parts = [_match(*pair, thresholds, most, areas) for pair in _of_class(pairs, number)]
        asked = sum(part.asked for part in parts)
        if not asked:
            continue
        order = np.argsort(-np.concatenate([part.scores for part in parts]), kind="stable")
        right, wrong = (
            np.cumsum(np.concatenate([getattr(part, name) for part in parts], axis=1)[:, order], 1)
            for name in ("right", "wrong")
        )
        for row, (hits, faults) in enumerate(zip(right, wrong, strict=True)):
            values[row, number] = _at_recalls(hits / asked, hits / (hits + faults + _EPSILON))
    return values


def voc_average_precision(
    pairs: Pairs, num_classes: int, threshold: float = 0.5, points: int = 0, pixel: float = 1.0
) -> Float[np.ndarray, " classes"]:
    """Average precision as Pascal VOC counts it.

    Over all images the surest box comes first. It counts by the one thing of its class that it
    overlaps most: with an IoU of the threshold or more it is right, or wrong if that thing was
    found before, or neither if that is not asked for.

    Args:
      pairs: What is found and what is there.
      num_classes: How many classes there are.
      threshold: Least IoU of a box that is right.
      points: 11 for the mean of the best precisions from 11 recalls on, as until 2009; 0 for the
        area below the curve of precisions that are made to fall, as after.
      pixel: What is added to the sides of boxes, whose last pixels VOC counts in.

    Returns:
      The average precision of each class; NaN where nothing of a class is asked for.

    Reference:
      Everingham et al., The Pascal Visual Object Classes Challenge: `VOCevaldet.m` and `VOCap.m` of
      its development kits of 2007 and 2012.
    """
    values = np.full(num_classes, np.nan)
    for number in range(num_classes):
        scores, hits, faults, asked = [], [], [], 0
        for found, truth in _of_class(pairs, number):
            is_asked = ~(truth.ignored | truth.crowd)
            asked += int(is_asked.sum())
            overlaps = _overlaps(found.boxes, truth.boxes, pixel=pixel)
            taken = np.zeros(len(truth.boxes), bool)
            for row in np.argsort(-found.scores, kind="stable"):
                best = int(np.argmax(overlaps[row])) if len(taken) else -1
                matches = best >= 0 and overlaps[row, best] >= threshold
                is_right = matches and is_asked[best] and not taken[best]
                scores.append(found.scores[row])
                hits.append(is_right)
                faults.append(not is_right and not (matches and not is_asked[best]))
                if is_right:
                    taken[best] = True
        if asked:
            order = np.argsort(-np.array(scores), kind="stable")
            right, wrong = (np.cumsum(np.array(x, float)[order]) for x in (hits, faults))
            recall, precision = right / asked, right / np.maximum(right + wrong, _EPSILON)
            values[number] = (
                _best_after(recall, precision, points) if points else _area(recall, precision)
            )
    return values


class _Matched(NamedTuple):
    """The boxes of one class in one image, the surest first.

    Attributes:
      scores: Of the boxes.
      right: Whether each is a thing that is asked for, at each threshold.
      wrong: Whether each is none.
      asked: How many things are asked for.
    """

    scores: Float[np.ndarray, " found"]
    right: Bool[np.ndarray, "thresholds found"]
    wrong: Bool[np.ndarray, "thresholds found"]
    asked: int


def _match(
    found: Found,
    truth: Truth,
    thresholds: Sequence[float],
    most: int,
    areas: tuple[float, float],
) -> _Matched:
    order = np.argsort(-found.scores, kind="stable")[:most]
    boxes, scores = found.boxes[order], found.scores[order]
    own = _areas(truth.boxes) if truth.areas is None else truth.areas
    is_asked = ~(truth.ignored | truth.crowd | (own < areas[0]) | (own > areas[1]))
    overlaps = _overlaps(boxes, truth.boxes, truth.crowd)
    of_size = (_areas(boxes) >= areas[0]) & (_areas(boxes) <= areas[1])
    right, wrong = np.zeros((2, len(thresholds), len(boxes)), bool)
    for row, threshold in enumerate(thresholds):
        taken = np.zeros(len(truth.boxes), bool)
        for number in range(len(boxes)):
            fits = (overlaps[number] >= min(threshold, 1 - 1e-10)) & ~(taken & ~truth.crowd)
            real = fits & is_asked
            chosen = real if real.any() else fits
            if not chosen.any():
                wrong[row, number] = of_size[number]
                continue
            # Of equal ones the last, as in COCO's code.
            last = len(chosen) - 1 - np.argmax(np.where(chosen, overlaps[number], -1)[::-1])
            taken[last] = True
            right[row, number] = is_asked[last]
    return _Matched(scores, right, wrong, int(is_asked.sum()))


def _of_class(pairs: Pairs, number: int) -> Iterator[tuple[Found, Truth]]:
    for found, truth in pairs:
        mine, there = found.classes == number, truth.classes == number
        yield (
            Found(found.boxes[mine], found.classes[mine], found.scores[mine]),
            Truth(
                truth.boxes[there],
                truth.classes[there],
                truth.crowd[there],
                truth.ignored[there],
                None if truth.areas is None else truth.areas[there],
            ),
        )


def _areas(boxes: Float[np.ndarray, "boxes 4"]) -> Float[np.ndarray, " boxes"]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _overlaps(
    found: Float[np.ndarray, "found 4"],
    there: Float[np.ndarray, "truths 4"],
    crowd: Bool[np.ndarray, " truths"] | None = None,
    pixel: float = 0.0,
) -> Float[np.ndarray, "found truths"]:
    """IoU of every pair; of a crowd, the share of the found box that lies within."""
    a, b = np.asarray(found, np.float64)[:, None], np.asarray(there, np.float64)[None]
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    both = np.prod(np.maximum(high - low + pixel, 0.0), axis=-1)
    sizes = [np.prod(x[..., 2:] - x[..., :2] + pixel, axis=-1) for x in (a, b)]
    union = sizes[0] + sizes[1] - both
    if crowd is not None:
        union = np.where(crowd[None], sizes[0], union)
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


def _falling(precision: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Makes each value the greatest from there on."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def _at_recalls(
    recall: Float[np.ndarray, " points"], precision: Float[np.ndarray, " points"]
) -> float:
    places = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.mean(np.append(_falling(precision), 0.0)[places]))


def _best_after(
    recall: Float[np.ndarray, " points"], precision: Float[np.ndarray, " points"], points: int
) -> float:
    # A recall of 3/10 reaches 0.3, which `linspace` rounds up.
    asked = np.linspace(0.0, 1.0, points) - 1e-9
    best = [precision[recall >= least].max(initial=0.0) for least in asked]
    return float(np.mean(best))


def _area(recall: Float[np.ndarray, " points"], precision: Float[np.ndarray, " points"]) -> float:
    steps = np.diff(np.concatenate([[0.0], recall]))
    return float(np.sum(steps * _falling(precision)))
