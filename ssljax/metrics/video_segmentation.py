"""Scores of masks that follow objects through a video: how regions and contours agree."""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Bool

Masks = Bool[np.ndarray, "_height _width"]


def region_similarity(predicted: Masks, truth: Masks) -> float:
    """The intersection of two regions over their union, J.

    Args:
      predicted: Pixels that are said to be of the object.
      truth: Those that are.

    Returns:
      In [0, 1]; 1 where both are empty.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation,
      2016, section 3; `db_eval_iou` of davischallenge/davis2017-evaluation.

    Example:
      >>> import numpy as np
      >>> said, true = np.array([[True, True, False]]), np.array([[False, True, True]])
      >>> print(f"{region_similarity(said, true):.3f}")
      0.333
    """
    _check(predicted, truth)
    union = int(np.count_nonzero(predicted | truth))
    return np.count_nonzero(predicted & truth) / union if union else 1.0


def contour_accuracy(predicted: Masks, truth: Masks, tolerance: float = 0.008) -> float:
    """How well the contours of two regions agree, F.

    A pixel of a contour is matched if the other contour comes within the tolerance: contours are
    thickened by a disk, which stands for matching their pixels one to one. F is the harmonic mean
    of the share of the predicted contour that is matched and that of the true one.

    Args:
      predicted: Pixels that are said to be of the object.
      truth: Those that are.
      tolerance: Distance in parts of the image's diagonal, rounded up to whole pixels.

    Returns:
      In [0, 1]; 1 where neither has a contour, 0 where one has none.

    Raises:
      ValueError: If the shapes differ.

    Reference:
      Perazzi et al., 2016, section 3; `f_measure` of davischallenge/davis2017-evaluation.

    Example:
      >>> import numpy as np
      >>> true = np.zeros((9, 9), bool)
      >>> true[3:6, 3:6] = True
      >>> print(contour_accuracy(true, true), contour_accuracy(np.roll(true, 4), true, 1e-3))
      1.0 0.0
    """
    _check(predicted, truth)
    reach = math.ceil(tolerance * math.hypot(*truth.shape))
    said, true = _contour(predicted), _contour(truth)
    if not said.any() or not true.any():
        return float(said.any() == true.any())
    precision = np.count_nonzero(said & _thickened(true, reach)) / np.count_nonzero(said)
    recall = np.count_nonzero(true & _thickened(said, reach)) / np.count_nonzero(true)
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _check(predicted: Masks, truth: Masks) -> None:
    if predicted.shape != truth.shape:
        raise ValueError(f"Masks are {truth.shape} and predictions {predicted.shape}.")


def _contour(mask: Masks) -> Masks:
    """Pixels that differ from their neighbour below, to the right, or both; beyond the image none.

    In the last row and the last column one neighbour alone is looked at, as the benchmark does.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    below, right, beyond = padded[1:, :-1], padded[:-1, 1:], padded[1:, 1:]
    return (mask ^ below) | (mask ^ right) | (mask ^ beyond)


def _thickened(contour: Masks, reach: int) -> Masks:
    """All pixels within so many of a contour's."""
    line = np.square(np.arange(-reach, reach + 1))
    disk = (line[:, None] + line[None] <= reach**2).astype(np.uint8)
    return cv2.dilate(contour.astype(np.uint8), disk).astype(bool)
