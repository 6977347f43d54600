"""The solver of the few-label probe against scikit-learn in float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from ssljax import data
from ssljax.metrics.few_label import few_label_probe
from ssljax.metrics.logistic import fit_softmax_regression, principal_axes
from ssljax.metrics.scaling import standardize

_STRENGTHS = (0.1, 1.0, 10.0)


def _rows(rows, dim, classes=3, seed=0):
    """Correlated features of very unequal variance, about a mean that is far from zero."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(rows) % classes).astype(np.int32)
    mixing = rng.normal(size=(dim, dim)) * np.logspace(0, -2, dim)[:, None]
    x = rng.normal(size=(rows, dim)) + 2.0 * np.eye(classes, dim)[labels]
    return (x @ mixing + 2.0).astype(np.float32), labels


def _plain(x, y, strength):
    model = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=20000)
    return model.fit(x.astype(np.float64), y)


@pytest.mark.parametrize(("rows", "dim"), [(120, 6), (24, 60)])
def test_the_fit_is_that_of_scikit_learn_on_the_unturned_features(rows, dim):
    x, y = _rows(rows, dim)
    fresh, _ = _rows(50, dim, seed=1)
    axes = principal_axes(jnp.asarray(x))
    turned = axes.project(jnp.asarray(x))
    assert turned.shape == (rows, min(rows, dim))
    model = fit_softmax_regression(
        turned,
        jnp.asarray(y),
        jnp.ones(rows, bool),
        jnp.asarray(_STRENGTHS),
        axes.variances,
        3,
        3000,
    )
    found = np.asarray(model.logits(axes.project(jnp.asarray(fresh))), np.float64)
    for logits, strength in zip(found, _STRENGTHS, strict=True):
        wanted = _plain(x, y, strength).decision_function(fresh.astype(np.float64))
        # Biases are not regularised: logits are fixed up to a constant for each row.
        logits = logits - logits.mean(axis=1, keepdims=True)
        wanted = wanted - wanted.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(logits, wanted, atol=5e-3 * np.abs(wanted).max())


@pytest.mark.parametrize(("rows", "dim"), [(200, 20), (24, 60)])
def test_the_default_steps_suffice_for_the_strengths_of_the_probe(rows, dim):
    x, y = _rows(rows, dim)
    (x,) = standardize(x)
    axes = principal_axes(jnp.asarray(x))
    turned, strengths = axes.project(jnp.asarray(x)), dim * np.array([0.03, 0.3, 3.0])
    model = fit_softmax_regression(
        turned, jnp.asarray(y), jnp.ones(rows, bool), jnp.float32(strengths), axes.variances, 3
    )

    def objective(logits, weights, strength):
        right = logits[np.arange(rows), y]
        return (logsumexp(logits, axis=1) - right).sum() + strength / 2 * (weights**2).sum()

    logits = np.asarray(model.logits(turned), np.float64)
    for found, weights, strength in zip(logits, model.weights, strengths, strict=True):
        plain = _plain(x, y, strength)
        least = objective(plain.decision_function(x.astype(np.float64)), plain.coef_, strength)
        reached = objective(found, np.asarray(weights, np.float64), strength)
        assert reached == pytest.approx(least, rel=1e-3)


def test_masked_rows_teach_nothing():
    x, y = _rows(90, 5)
    keep = np.arange(90) % 5 != 0
    axes = principal_axes(jnp.asarray(x))
    turned, strengths = axes.project(jnp.asarray(x)), jnp.asarray([1.0])
    model = fit_softmax_regression(
        turned, jnp.asarray(np.where(keep, y, 0)), jnp.asarray(keep), strengths, axes.variances, 3
    )
    plain = _plain(x[keep], y[keep], 1.0).predict_proba(x.astype(np.float64))
    found = np.exp(np.asarray(model.logits(turned))[0])
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), plain, atol=2e-3)


def test_turning_keeps_lengths_and_puts_the_variance_on_the_axes():
    x, _ = _rows(20, 50)
    axes = principal_axes(jnp.asarray(x))
    turned = np.asarray(axes.project(jnp.asarray(x)), np.float64)
    centred = x.astype(np.float64) - x.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(turned @ turned.T, centred @ centred.T, atol=0.02)
    np.testing.assert_allclose(turned.var(axis=0), axes.variances, rtol=1e-3, atol=1e-4)


def test_the_probe_with_many_labels_is_the_fit_of_the_best_held_out_strength():
    x, y = _rows(400, 8)
    test_x, test_y = _rows(300, 8, seed=5)
    rows = data.labelled_rows(y, 3, 10, seed=0, key="labels")
    result = few_label_probe(x, y, test_x, test_y, 3, [rows])
    mean, std = x.astype(np.float64).mean(axis=0), x.astype(np.float64).std(axis=0)
    train, test, known = (x[rows] - mean) / std, (test_x - mean) / std, y[rows]
    fold = np.arange(len(rows)) % 5
    losses = []
    for strength in (0.03, 0.1, 0.3, 1.0, 3.0):
        total = 0.0
        for held in (fold == i for i in range(5)):
            model = _plain(train[~held], known[~held], 8 * strength)
            total -= model.predict_log_proba(train[held])[np.arange(held.sum()), known[held]].sum()
        losses.append((total, strength))
    best = _plain(train, known, 8 * min(losses)[1])
    assert result.values[0] == pytest.approx(best.score(test, test_y), abs=1 / 300)


def test_the_test_set_chooses_nothing():
    x, y = _rows(300, 8)
    test_x, test_y = _rows(200, 8, seed=5)
    rows = data.labelled_rows(y, 3, 6, seed=0, key="labels")
    one = few_label_probe(x, y, test_x, test_y, 3, [rows])
    other = few_label_probe(x, y, test_x, (test_y + 1) % 3, 3, [rows])
    assert one.mean + other.mean <= 1.0
