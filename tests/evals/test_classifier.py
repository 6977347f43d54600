"""What a method's own classifier is right about."""

import numpy as np
import pytest

from ssljax.evals.classifier import count_right


def test_right_are_the_rows_whose_true_class_scores_highest():
    logits = np.array([[0.0, 2.0, 1.0], [3.0, -1.0, 0.0], [0.0, 0.5, 0.4], [9.0, 1.0, 1.0]])
    assert count_right(logits.astype(np.float32), np.array([1, 0, 2, 1])) == 2
    with pytest.raises(ValueError, match="not finite"):
        count_right(np.full((2, 3), np.nan, np.float32), np.zeros(2, np.int32))
