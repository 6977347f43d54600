"""Few-label probe: what frozen features are worth when only a few labels are known."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

from ssljax.errors import UserError
from ssljax.metrics.labels import labelled
from ssljax.metrics.logistic import fit_softmax_regression, principal_axes
from ssljax.metrics.scaling import standardization

_FOLDS = 5
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
    labels: float,
    seeds: int = 5,
) -> FewLabelResult:
    """Fits L2-regularised softmax regression to a few labelled rows, for several draws of them.

    Features are standardised with the statistics of the whole of train, which needs no labels. With
    five labels per class or more the strength of the regularisation is chosen, from 0.03 to 3 per
    dimension, by the lowest cross-entropy on held-out fifths of the labelled rows (all five up to
    2,000 rows, one above). With fewer it is fixed at 100. A strength is one over scikit-learn's C.
    The test set chooses nothing.

    Args:
      train_x: Features to learn from.
      train_y: Their classes in [0, num_classes); only the drawn ones are seen, and a row of -1,
        without a label, is left out.
      test_x: Features to report on.
      test_y: Their classes, likewise.
      num_classes: Number of classes.
      labels: Labels per class; below 1, the share of each class.
      seeds: Number of draws, with seeds 0, 1, ....

    Returns:
      Accuracies.

    Raises:
      UserError: If a class has fewer rows than `labels`.
      ValueError: If `labels` is not positive or `seeds` less than 1, or no row has a label.
    """
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; it must be 1 or more.")
    train_x, train_y = labelled(train_x, train_y, num_classes)
    test_x, test_y = labelled(test_x, test_y, num_classes)
    statistics = standardization(train_x)
    test = jnp.asarray(statistics.apply(test_x)), jnp.asarray(test_y, jnp.int32)
    values = []
    for seed in range(seeds):
        rows = labelled_rows(train_y, num_classes, labels, seed)
        known = train_y[rows].astype(np.int32)
        drawn = jnp.asarray(statistics.apply(train_x[rows]))
        train = drawn, jnp.asarray(known), jnp.asarray(_folds(known))
        values.append(float(jax.device_get(_accuracy(*train, *test, num_classes=num_classes))))
    spread = float(np.std(values, ddof=1)) if seeds > 1 else 0.0
    return FewLabelResult(float(np.mean(values)), spread, tuple(values))


def labelled_rows(
    train_y: Int[np.ndarray, "train"],
    num_classes: int,
    labels: float,
    seed: int,
    key: str = "config.evals.few_label",
    class_names: Sequence[str] = (),
) -> Int[np.ndarray, "rows"]:
    """Draws the rows whose labels are known.

    The draw depends on the classes and the seed alone, never on features: every network is judged
    on the same rows. At one seed a smaller draw is part of a larger one.

    Args:
      train_y: Class of each row, -1 for none. A class without rows is left out.
      num_classes: Number of classes.
      labels: Rows of each class; below 1, the share of each class, rounded, at least one row.
      seed: Of the draw.
      key: Where `labels` is set, for the message.
      class_names: Names of the classes, likewise; their numbers where there are none.

    Returns:
      Indices into `train_y`, grouped by class.

    Raises:
      UserError: If a class has fewer rows than `labels`, or no row has a label.
      ValueError: If `labels` is not positive.
    """
    if labels <= 0:
        raise ValueError(f"labels is {labels}; it must be positive.")
    rng = np.random.default_rng([seed, 2])
    chosen = []
    for label in range(num_classes):
        rows = rng.permutation(np.flatnonzero(train_y == label))
        if not len(rows):
            continue
        if len(rows) < labels:
            name = repr(class_names[label]) if class_names else label
            raise UserError(
                f"{key} wants {labels:g} labels a class, but class {name} has {len(rows)} in "
                f"train: ask for at most {len(rows)}."
            )
        chosen.append(rows[: int(labels) if labels >= 1 else max(round(labels * len(rows)), 1)])
    if not chosen:
        raise UserError(f"{key} wants labels, but none of the {len(train_y)} images has one.")
    return np.concatenate(chosen)


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
def _accuracy(
    train_x: Float[Array, "train dim"],
    train_y: Int[Array, "train"],
    held_out: Bool[Array, "folds train"],
    test_x: Float[Array, "test dim"],
    test_y: Int[Array, "test"],
    num_classes: int,
) -> Float[Array, ""]:
    """Chooses the strength, fits all labelled rows, and scores the test set."""
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
    predicted = jnp.argmax(model.logits(axes.project(test_x))[0], axis=1)
    return jnp.mean((predicted == test_y).astype(jnp.float32))
