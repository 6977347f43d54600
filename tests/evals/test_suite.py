"""From features to scores."""

import numpy as np
import pytest

from ssljax import evals, metrics


def test_features_that_are_not_finite_have_no_score():
    x = np.full((4, 2), np.nan, np.float32)
    y = np.array([0, 1, 0, 1], np.int32)
    with pytest.raises(ValueError, match="not finite"):
        evals.score_features(x, y, x, y, 2, which=("knn",))


def test_scores_are_named_by_probe():
    rng = np.random.default_rng(0)
    y = np.arange(120, dtype=np.int32) % 3
    x = (np.eye(3)[y] + 0.05 * rng.normal(size=(120, 3))).astype(np.float32)
    scores = evals.score_features(
        x, y, x, y, 3, knn=((5, 0.07),), few_label=(2, 0.1), few_label_seeds=2
    )
    assert set(scores) == {
        "knn5", "linear", "labels_2", "labels_2_std", "labels_10pct", "labels_10pct_std",
    }  # fmt: skip
    named = evals.score_names(("few_label", "knn", "linear"), ((5, 0.07),), (2, 0.1))
    assert [*named] == [name for name in scores if not name.endswith("_std")]
    assert scores["knn5"] == scores["linear"] == scores["labels_2"] == 1.0
    assert evals.score_features(x, y, x, y, 3, which=("knn",), knn=((5, 0.07),)) == {"knn5": 1.0}


def test_accuracy_is_the_share_of_rows_whose_class_scores_highest():
    logits = np.array([[0.0, 2.0, 1.0], [3.0, -1.0, 0.0], [0.0, 0.5, 0.4], [9.0, 1.0, 1.0]])
    assert evals.accuracy(logits.astype(np.float32), np.array([1, 0, 2, 1])) == 0.5
    with pytest.raises(ValueError, match="not finite"):
        evals.accuracy(np.full((2, 3), np.nan, np.float32), np.zeros(2, np.int32))


def test_rows_without_a_label_change_no_score():
    rng = np.random.default_rng(0)
    y, test_y = (np.arange(n, dtype=np.int32) % 3 for n in (150, 60))
    x, test_x = (np.eye(3)[part] + 0.8 * rng.normal(size=(len(part), 3)) for part in (y, test_y))
    options = {"knn": ((5, 0.07),), "few_label": (4,), "few_label_seeds": 2}
    x, test_x = x.astype(np.float32), test_x.astype(np.float32)
    wanted = evals.score_features(x, y, test_x, test_y, 3, **options)
    assert 0.4 < min(wanted["knn5"], wanted["linear"], wanted["labels_4"]) < 1
    stray = 100 * rng.normal(size=(50, 3)).astype(np.float32)
    none = np.full(50, -1, np.int32)
    # Among the others, so that no place in the array is special.
    mixed = [
        np.insert(a, 7, b, axis=0)
        for a, b in ((x, stray), (y, none), (test_x, stray), (test_y, none))
    ]
    assert evals.score_features(*mixed, 3, **options) == wanted
    logits = np.eye(3, dtype=np.float32)[np.insert(test_y, 7, 2)]
    assert evals.accuracy(logits, np.insert(test_y, 7, -1)) == 1.0


def test_a_label_that_is_no_class_is_refused():
    x = np.zeros((4, 2), np.float32)
    for labels in ([0, 1, 2, 3], [0, -2, 1, 1]):
        with pytest.raises(ValueError, match="classes from 0 to 2, or -1"):
            metrics.labelled(x, np.array(labels), 3)
    with pytest.raises(ValueError, match="None of 4 rows has a label"):
        metrics.labelled(x, np.full(4, -1), 3)
