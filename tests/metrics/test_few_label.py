"""The few-label probe: which labels it sees, and that it uses them well."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ssljax.errors import UserError
from ssljax.metrics.few_label import few_label_probe, labelled_rows
from ssljax.metrics.scaling import standardize


def _blobs(rows, seed, spread=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=rows).astype(np.int32)
    centers = 3 * np.random.default_rng(9).normal(size=(4, 10))
    return (centers[labels] + spread * rng.normal(size=(rows, 10))).astype(np.float32), labels


def test_a_draw_has_so_many_of_each_class_and_depends_on_the_seed_alone():
    _, labels = _blobs(400, 0)
    rows = labelled_rows(labels, 4, 5, seed=1)
    assert np.bincount(labels[rows]).tolist() == [5, 5, 5, 5]
    assert len(set(rows.tolist())) == 20
    assert np.array_equal(rows, labelled_rows(labels, 4, 5, seed=1))
    assert not np.array_equal(rows, labelled_rows(labels, 4, 5, seed=2))


def test_a_fraction_is_taken_of_each_class():
    labels = np.repeat([0, 1, 2, 3], [100, 200, 300, 5]).astype(np.int32)
    rows = labelled_rows(labels, 4, 0.1, seed=0)
    assert np.bincount(labels[rows]).tolist() == [10, 20, 30, 1]


def test_far_classes_need_one_label_each():
    result = few_label_probe(*_blobs(400, 0, 0.1), *_blobs(200, 1, 0.1), 4, labels=1, seeds=3)
    assert result.values == (1.0, 1.0, 1.0)
    assert (result.mean, result.std) == (1.0, 0.0)


def test_mean_and_spread_are_those_of_the_values():
    result = few_label_probe(*_blobs(400, 0, 3.0), *_blobs(200, 1, 3.0), 4, labels=2, seeds=4)
    assert len(set(result.values)) > 1
    assert result.mean == pytest.approx(np.mean(result.values))
    assert result.std == pytest.approx(np.std(result.values, ddof=1))


def test_with_one_label_it_is_plain_logistic_regression_of_fixed_strength():
    (x, y), (test_x, test_y) = _blobs(400, 0, 3.0), _blobs(200, 1, 3.0)
    result = few_label_probe(x, y, test_x, test_y, 4, labels=1, seeds=1)
    rows = labelled_rows(y, 4, 1, seed=0)
    train, test = standardize(x, test_x)
    plain = LogisticRegression(C=1e-2, max_iter=1000).fit(train[rows], y[rows])
    assert result.values[0] == pytest.approx(plain.score(test, test_y))


def test_more_labels_than_a_class_has_are_refused():
    x, y = _blobs(40, 0)
    with pytest.raises(UserError, match="wants 500 labels a class"):
        few_label_probe(x, y, x, y, 4, labels=500)
