"""Inception score."""

import numpy as np
import pytest

from ssljax.metrics import inception_score


def test_it_is_the_formula_over_ten_parts_of_consecutive_rows():
    logits = np.random.default_rng(0).normal(size=(57, 6)).astype(np.float32) * 3
    scores = []
    for split in range(10):
        part = logits[split * 57 // 10 : (split + 1) * 57 // 10].astype(np.float64)
        p = np.exp(part) / np.exp(part).sum(axis=1, keepdims=True)
        marginal = p.mean(axis=0, keepdims=True)
        scores.append(np.exp(np.mean(np.sum(p * np.log(p / marginal), axis=1))))
    np.testing.assert_allclose(inception_score(logits), (np.mean(scores), np.std(scores)))


def test_sure_and_balanced_images_score_the_number_of_classes():
    logits = np.tile(1e4 * np.eye(5, dtype=np.float32), (20, 1))
    np.testing.assert_allclose(inception_score(logits), (5.0, 0.0), atol=1e-12)


@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [1e4, 0.0, -1e4]])
def test_images_that_are_all_alike_score_one(row):
    logits = np.tile(np.array(row, np.float32), (30, 1))
    np.testing.assert_allclose(inception_score(logits), (1.0, 0.0), atol=1e-12)


def test_too_few_rows_and_infinite_logits_are_refused():
    with pytest.raises(ValueError, match="9 rows cannot be split into 10"):
        inception_score(np.zeros((9, 3)))
    with pytest.raises(ValueError, match="not finite"):
        inception_score(np.full((10, 3), np.nan))
