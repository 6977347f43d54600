"""Few-label probe: what frozen features are worth when only a few labels are known."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

from ssljax.metrics.labels import labelled
from ssljax.metrics.logistic import (
    PrincipalAxes,
    SoftmaxRegression,
    fit_softmax_regression,
    principal_axes,
)
from ssljax.metrics.scaling import standardization

_FOLDS = 5
_TEST_CHUNK = 8192
# Per dimension: the squared length of standardised features grows with their number, so one grid
# suits 128 dimensions and 3072 alike.
_STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
_FIXED_STRENGTH = 100.0
# Above this many labelled rows one fold of five is reliable, at a fifth of the cost.
_ALL_FOLDS_UP_TO = 2000


class FewLabelResult(NamedTuple):
    """Test accuracies over draws of the labels.

    Attributes:
      mean: Mean top-1 on test, in [0, 1].
      std: Sample standard deviation over the draws, 0 for a single one.
      values: Accuracy of each draw.
    """

    mean: float
    std: float
    values: tuple[float, ...]


def few_label_probe(
    train_x: Real[np.ndarray, "train dim"],
    train_y: Int[np.ndarray, "train"],
    test_x: Real[np.ndarray, "test dim"],
    test_y: Int[np.ndarray, "test"],
    num_classes: int,
    draws: Sequence[Int[np.ndarray, "_"]],
) -> FewLabelResult:
    """Fits L2-regularised softmax regression to a few labelled rows, for several draws of them.

    Features are standardised with the statistics of the whole of train, which needs no labels. With
    five labels per class or more the strength of the regularisation is chosen, from 0.03 to 3 per
    dimension, by the lowest cross-entropy on held-out fifths of the labelled rows (all five up to
    2,000 rows, one above). With fewer it is fixed at 100. A strength is one over scikit-learn's C.
    The test set chooses nothing.

    Args:
      train_x: Features to learn from.
      train_y: Their classes in [0, num_classes); only the drawn ones are seen.
      test_x: Features to report on.
      test_y: Their classes; a row of -1, without a label, is left out.
      num_classes: Number of classes.
      draws: Of each draw the rows of train whose labels are known, grouped by class and within a
        class in random order, as `ssljax.data.labelled_rows` gives them.

    Returns:
      Accuracies.

    Raises:
      ValueError: If there is no draw, one holds a row without a label, or no test row has one.
    """
    if not draws:
        raise ValueError("There is no draw of labels.")
    test_x, test_y = labelled(test_x, test_y, num_classes)
    statistics = standardization(train_x)
    values = []
    for rows in draws:
        known = train_y[rows].astype(np.int32)
        if known.min() < 0:
            raise ValueError("A row that is drawn has no label.")
        model = _fit(
            jnp.asarray(statistics.apply(train_x[rows])),
            jnp.asarray(known),
            jnp.asarray(_folds(known)),
            num_classes=num_classes,
        )
        right = 0
        for start in range(0, len(test_x), _TEST_CHUNK):
            part = jnp.asarray(statistics.apply(test_x[start : start + _TEST_CHUNK]))
            predicted = jax.device_get(_predict(*model, part))
            right += int(np.sum(predicted == test_y[start : start + _TEST_CHUNK]))
        values.append(right / len(test_y))
    spread = float(np.std(values, ddof=1)) if len(draws) > 1 else 0.0
    return FewLabelResult(float(np.mean(values)), spread, tuple(values))


def _folds(labels: Int[np.ndarray, "rows"]) -> Bool[np.ndarray, "folds rows"]:
    """Marks the rows that each fold holds out; no fold where a class has fewer than five rows."""
    _, counts = np.unique(labels, return_counts=True)
    if counts.min() < _FOLDS:
        return np.zeros((0, len(labels)), bool)
    # Rows come grouped by class in random order: dealt out in turn, each class is split evenly.
    fold = np.arange(len(labels)) % _FOLDS
    used = _FOLDS if len(labels) <= _ALL_FOLDS_UP_TO else 1
    return fold[None, :] == np.arange(used)[:, None]


@functools.partial(jax.jit, static_argnames="num_classes")
def _fit(
    train_x: Float[Array, "train dim"],
    train_y: Int[Array, "train"],
    held_out: Bool[Array, "folds train"],
    num_classes: int,
) -> tuple[PrincipalAxes, SoftmaxRegression]:
    """Chooses the strength and fits all labelled rows."""
    axes = principal_axes(train_x)
    rows = axes.project(train_x)
    grid = jnp.asarray(_STRENGTHS, jnp.float32) * train_x.shape[1]

    def held_out_losses(held: Bool[Array, "train"]) -> Float[Array, "strengths"]:
        model = fit_softmax_regression(rows, train_y, ~held, grid, axes.variances, num_classes)
        truth = jax.nn.one_hot(train_y, num_classes)[None]
        losses = -jnp.sum(jax.nn.log_softmax(model.logits(rows)) * truth, axis=2)
        return jnp.sum(jnp.where(held[None, :], losses, 0.0), axis=1)

    if held_out.shape[0]:
        strength = grid[jnp.argmin(jnp.sum(jax.lax.map(held_out_losses, held_out), axis=0))]
    else:
        strength = jnp.float32(_FIXED_STRENGTH)
    model = fit_softmax_regression(
        rows, train_y, jnp.ones(train_y.shape, bool), strength[None], axes.variances, num_classes
    )
    return axes, model


@jax.jit
def _predict(
    axes: PrincipalAxes, model: SoftmaxRegression, rows: Float[Array, "test dim"]
) -> Int[Array, "test"]:
    """The class that the first classifier finds likeliest for each row."""
    return jnp.argmax(model.logits(axes.project(rows))[0], axis=1)
