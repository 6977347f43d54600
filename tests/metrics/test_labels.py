"""Rows without a label, and labels that are no class."""

import numpy as np
import pytest

from ssljax import metrics


def test_rows_without_a_label_are_left_out():
    x = np.arange(8.0).reshape(4, 2)
    features, labels = metrics.labelled(x, np.array([1, -1, 0, -1]), 2)
    assert features.tolist() == [[0, 1], [4, 5]]
    assert labels.tolist() == [1, 0]


def test_a_label_that_is_no_class_is_refused():
    x = np.zeros((4, 2), np.float32)
    for labels in ([0, 1, 2, 3], [0, -2, 1, 1]):
        with pytest.raises(ValueError, match="classes from 0 to 2, or -1"):
            metrics.labelled(x, np.array(labels), 3)
    with pytest.raises(ValueError, match="None of 4 rows has a label"):
        metrics.labelled(x, np.full(4, -1), 3)
