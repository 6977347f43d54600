"""The few-label probe: which labels it sees, and that it uses them well."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ssljax import data
from ssljax.metrics.few_label import few_label_probe
from ssljax.metrics.scaling import standardize


def _blobs(rows, seed, spread=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=rows).astype(np.int32)
    centers = 3 * np.random.default_rng(9).normal(size=(4, 10))
    return (centers[labels] + spread * rng.normal(size=(rows, 10))).astype(np.float32), labels


def _draws(labels, per_class, seeds):
    return [data.labelled_rows(labels, 4, per_class, seed, "labels") for seed in range(seeds)]


def test_far_classes_need_one_label_each():
    train = _blobs(400, 0, 0.1)
    result = few_label_probe(*train, *_blobs(200, 1, 0.1), 4, _draws(train[1], 1, 3))
    assert result.values == (1.0, 1.0, 1.0)
    assert (result.mean, result.std) == (1.0, 0.0)


def test_mean_and_spread_are_those_of_the_values():
    train = _blobs(400, 0, 3.0)
    result = few_label_probe(*train, *_blobs(200, 1, 3.0), 4, _draws(train[1], 2, 4))
    assert len(set(result.values)) > 1
    assert result.mean == pytest.approx(np.mean(result.values))
    assert result.std == pytest.approx(np.std(result.values, ddof=1))


def test_with_one_label_it_is_plain_logistic_regression_of_fixed_strength():
    (x, y), (test_x, test_y) = _blobs(400, 0, 3.0), _blobs(200, 1, 3.0)
    (rows,) = _draws(y, 1, 1)
    result = few_label_probe(x, y, test_x, test_y, 4, [rows])
    train, test = standardize(x, test_x)
    plain = LogisticRegression(C=1e-2, max_iter=1000).fit(train[rows], y[rows])
    assert result.values[0] == pytest.approx(plain.score(test, test_y))


def test_a_draw_without_labels_is_refused():
    x, y = _blobs(40, 0)
    with pytest.raises(ValueError, match="no draw"):
        few_label_probe(x, y, x, y, 4, [])
    with pytest.raises(ValueError, match="has no label"):
        few_label_probe(x, np.full_like(y, -1), x, y, 4, [np.arange(3)])
