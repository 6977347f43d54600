"""Every probe on the features of one network, and the names of their scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Real

from ssljax.metrics.few_label import few_label_probe
from ssljax.metrics.knn import knn_accuracies, knn_names
from ssljax.metrics.labels import labelled
from ssljax.metrics.linear import linear_probe

PROBES = ("knn", "linear", "few_label")


def accuracy(logits: Float[np.ndarray, "rows classes"], labels: Int[np.ndarray, "rows"]) -> float:
    """Top-1 accuracy of a classifier.

    Args:
      logits: Score of each class.
      labels: The true classes; a row of -1, without a label, is left out.

    Returns:
      The share of rows whose highest score is that of the true class, in [0, 1].

    Raises:
      ValueError: If a score is not finite, or no row has a label.
    """
    if not _finite(logits):
        raise ValueError("Logits are not finite: an accuracy of them would mean nothing.")
    logits, labels = labelled(logits, labels, logits.shape[1])
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def score_features(
    train_x: Real[np.ndarray, "train dim"],
    train_y: Int[np.ndarray, "train"],
    test_x: Real[np.ndarray, "test dim"],
    test_y: Int[np.ndarray, "test"],
    num_classes: int,
    *,
    which: Sequence[str] = PROBES,
    knn: Sequence[tuple[int, float]] = ((20, 0.07), (200, 0.1)),
    linear_epochs: int = 20,
    few_label: Sequence[float] = (1, 5, 10),
    few_label_seeds: int = 5,
) -> dict[str, float]:
    """Runs the probes on features of one network.

    Args:
      train_x: Features to learn from.
      train_y: Their classes; a row of -1, without a label, is left out.
      test_x: Features to report on.
      test_y: Their classes, likewise.
      num_classes: Number of classes.
      which: Some of "knn", "linear" and "few_label".
      knn: Pairs of (k, temperature).
      linear_epochs: Passes of the linear probe over train.
      few_label: Labels per class; below 1, the share of labels.
      few_label_seeds: Draws of each.

    Returns:
      Accuracies in [0, 1] by the names that `score_names` gives, such as "knn20", "linear" and
      "labels_10" (a class), "labels_1pct"; and the spread of the last two, "labels_10_std".

    Raises:
      ValueError: If a feature is not finite, or no row has a label.
    """
    if not (_finite(train_x) and _finite(test_x)):
        raise ValueError("Features are not finite: a score of them would mean nothing.")
    sets = (train_x, train_y, test_x, test_y, num_classes)
    scores: dict[str, float] = {}
    if "knn" in which:
        scores |= knn_accuracies(*sets, settings=tuple(knn))
    if "linear" in which:
        scores["linear"] = linear_probe(*sets, epochs=linear_epochs).accuracy
    if "few_label" in which:
        for labels in few_label:
            result = few_label_probe(*sets, labels, few_label_seeds)
            name = _few_label_name(labels)
            scores |= {name: result.mean, f"{name}_std": result.std}
    return scores


def score_names(
    which: Sequence[str], knn: Sequence[tuple[int, float]], few_label: Sequence[float]
) -> tuple[str, ...]:
    """Names of the accuracies that `score_features` would give, without their spreads.

    Args:
      which: Some of "knn", "linear" and "few_label".
      knn: Pairs of (k, temperature).
      few_label: Labels per class; below 1, the share of labels.
    """
    named = {
        "knn": knn_names(knn),
        "linear": ("linear",),
        "few_label": tuple(_few_label_name(labels) for labels in few_label),
    }
    return tuple(name for probe, names in named.items() if probe in which for name in names)


def _few_label_name(labels: float) -> str:
    return f"labels_{labels:g}" if labels >= 1 else f"labels_{100 * labels:g}pct"


def _finite(rows: Real[np.ndarray, "rows dim"]) -> bool:
    # The extremes of what holds a NaN are NaN, and no array as large as the features is made.
    return bool(np.isfinite([rows.min(), rows.max()]).all())
