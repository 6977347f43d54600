"""Average precision by the package faster-coco-eval, COCO's evaluation in C++."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ssljax.metrics.detection import ANY_AREA, COCO_IOUS, Found, Pairs, Truth

_LARGEST = 1e10
"""Area that stands for any, as in COCO's code."""


def official_average_precision(
    pairs: Pairs,
    num_classes: int,
    thresholds: Sequence[float] = COCO_IOUS,
    most: int = 100,
    areas: tuple[float, float] = ANY_AREA,
) -> Float[np.ndarray, "thresholds classes"]:
    """What `coco_average_precision` counts, counted by faster-coco-eval.

    Args:
      pairs: What is found and what is there. What is ignored counts as a crowd, as COCO has no
        other word for it.
      num_classes: As there; so too the rest.
      thresholds: Likewise.
      most: Likewise.
      areas: Likewise.

    Returns:
      The average precision of each class; NaN where nothing of a class is asked for.

    Raises:
      ModuleNotFoundError: The package is not installed: it comes with the extra `detection`.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    things: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    for number, (found, truth) in enumerate(pairs):
        things += _things(number, truth, len(things))
        said += _said(number, found)
    whole = {
        "images": [{"id": number} for number in range(len(pairs))],
        "categories": [{"id": number, "name": str(number)} for number in range(num_classes)],
        "annotations": things,
    }
    if not said:
        asked = {
            thing["category_id"]
            for thing in things
            if not thing["iscrowd"] and areas[0] <= thing["area"] <= areas[1]
        }
        known = [0.0 if number in asked else np.nan for number in range(num_classes)]
        return np.tile(known, (len(thresholds), 1))
    with contextlib.redirect_stdout(io.StringIO()):  # It tells of its progress.
        sets = COCO(whole)
        evaluation = COCOeval_faster(sets, sets.loadRes(said), iouType="bbox")
        evaluation.params.iouThrs = np.asarray(thresholds, np.float64)
        evaluation.params.areaRng = [[areas[0], min(areas[1], _LARGEST)]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [most]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, 0]
    return np.where((precision < 0).any(axis=1), np.nan, precision.mean(axis=1))


def _things(number: int, truth: Truth, before: int) -> list[dict[str, Any]]:
    placed = _placed(truth.boxes)
    areas = placed[:, 2] * placed[:, 3] if truth.areas is None else truth.areas
    crowd = truth.crowd | truth.ignored
    return [
        {
            "id": before + row + 1,
            "image_id": number,
            "category_id": int(truth.classes[row]),
            "bbox": placed[row].tolist(),
            "area": float(areas[row]),
            "iscrowd": int(crowd[row]),
        }
        for row in range(len(placed))
    ]


def _said(number: int, found: Found) -> list[dict[str, Any]]:
    return [
        {
            "image_id": number,
            "category_id": int(kind),
            "bbox": box.tolist(),
            "score": float(score),
        }
        for box, kind, score in zip(_placed(found.boxes), found.classes, found.scores, strict=True)
    ]


def _placed(boxes: Float[np.ndarray, "boxes 4"]) -> Float[np.ndarray, "boxes 4"]:
    """(left, top, width, height), as COCO has them."""
    top, left, bottom, right = np.asarray(boxes, np.float64).T
    return np.stack([left, top, right - left, bottom - top], axis=1)
