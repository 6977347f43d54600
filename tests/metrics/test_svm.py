"""Support vector machines against the benchmark's procedure, step by step, and their limits."""

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC

from ssljax.metrics.svm import COSTS, linear_svms, low_shot_svms, unit_rows

FEW = (0.001, 0.1, 1.0)


def drawn(rows=90, dim=6, classes=2, noise=1.5):
    """Features of different lengths, whose directions say something of the classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, dim))
    planes = np.random.default_rng(1).normal(size=(dim, classes))
    labels = (x @ planes + noise * rng.normal(size=(rows, classes)) > 1).astype(int)
    return (x * rng.uniform(0.5, 20, (rows, 1))).astype(np.float32), labels


def test_costs_are_the_benchmarks():
    assert len(COSTS) == 26
    assert {1e-7, 100.0, 0.5**4, 0.5**19} <= set(COSTS)


def test_the_cost_is_chosen_by_folds_of_train_and_the_machine_is_the_benchmarks():
    x, labels = drawn()
    test = x[:20] + 1
    result = linear_svms(x, labels, test, FEW)
    wide = x.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True) + 1e-5
    for number in range(2):
        folds = {}
        for cost in FEW:
            machine = LinearSVC(
                C=cost, class_weight={1: 2, 0: 1}, loss="squared_hinge", dual=True, tol=1e-7,
                max_iter=200_000, random_state=0,
            )  # fmt: skip
            folds[cost] = cross_val_score(
                machine, wide, labels[:, number], cv=3, scoring="average_precision"
            ).mean()
        best = max(folds, key=folds.__getitem__)
        assert result.costs[number] == best
        assert result.folds[number] == pytest.approx(folds[best], abs=1e-6)
        machine = LinearSVC(
            C=best, class_weight={1: 2, 0: 1}, dual=True, tol=1e-8, max_iter=500_000, random_state=0
        ).fit(wide, labels[:, number])
        expected = machine.decision_function(unit_rows(test))
        np.testing.assert_allclose(result.decisions[:, number], expected, atol=2e-3)


def test_fewer_rows_than_features_and_a_single_cost_take_no_folds():
    x, labels = drawn(rows=12, dim=30)
    result = linear_svms(x, labels, x, (1.0,))
    assert result.costs == (1.0, 1.0)
    assert np.isnan(result.folds).all()
    # In so many dimensions all can be told apart.
    np.testing.assert_array_equal(result.decisions > 0, labels == 1)


def test_the_doubtful_is_no_positive_and_what_has_no_label_is_not_learnt():
    x, labels = drawn()
    doubted = labels.copy()
    doubted[labels[:, 0] == 0, 0] = np.where(np.arange((labels[:, 0] == 0).sum()) % 2, 0, -1)
    known = (doubted >= 0).any(axis=1)
    assert known.all()
    np.testing.assert_array_equal(
        linear_svms(x, labels, x, (1.0,)).decisions, linear_svms(x, doubted, x, (1.0,)).decisions
    )
    more = np.concatenate([x, 100 * x[:9]]), np.concatenate([labels, np.full((9, 2), -1)])
    np.testing.assert_array_equal(
        linear_svms(*more, x, (1.0,)).decisions, linear_svms(x, labels, x, (1.0,)).decisions
    )


def test_few_shots_are_drawn_by_the_seed_from_what_is_sure():
    x, labels = drawn()
    labels[::4, 0] = -1
    found = [low_shot_svms(x, labels, x, 4, seed, FEW).decisions for seed in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])
    poisoned = x.copy()
    poisoned[::4] = 1e6 * np.random.default_rng(5).normal(size=poisoned[::4].shape)
    again = low_shot_svms(poisoned, labels, x, 4, 0, FEW).decisions
    np.testing.assert_array_equal(again[:, 0], found[0][:, 0])
    assert low_shot_svms(x, labels, x, 1, 0, FEW).costs == (1.0, 1.0)


def test_what_cannot_be_learnt_is_told():
    x, labels = drawn()
    labels[:, 1] = 0
    labels[:2, 1] = 1
    with pytest.raises(ValueError, match="'bee' is in 2 of 90 images to learn from; at least 3"):
        linear_svms(x, labels, x, names=("ant", "bee"))
    with pytest.raises(ValueError, match="4 shots are asked for, and of the class 1 2 images"):
        low_shot_svms(x, labels, x, 4, 0)
    with pytest.raises(ValueError, match="costs are"):
        linear_svms(x, labels, x, (0.0,))
    with pytest.raises(ValueError, match="A label is 3"):
        linear_svms(x, 3 * labels, x)
