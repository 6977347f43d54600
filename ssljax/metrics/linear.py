"""Linear probe: softmax regression on frozen features, its settings chosen on held-out train data.

Reference: Kornblith et al., Do Better ImageNet Models Transfer Better?, 2019, for choosing the
regularisation on a held-out part of train; the sweep trains all settings at once.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from ssljax.metrics.labels import labelled
from ssljax.metrics.minibatches import (
    Read,
    batches,
    count_right,
    read_all,
    reader,
    steps_of_an_epoch,
)
from ssljax.metrics.scaling import Standardization, standardizations_of
from ssljax.ops.schedules import half_cosine

LEARNING_RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
WEIGHT_DECAYS = (0.0, 1e-4, 1e-3, 1e-2)
_MOMENTUM = 0.9
_LEAST_STEPS = 1000


class ProbeResult(NamedTuple):
    """What a linear probe found.

    Attributes:
      accuracy: Top-1 on test, in [0, 1].
      holdout_accuracy: Top-1 of the chosen settings on the held-out part of train.
      learning_rate: The chosen one.
      weight_decay: The chosen one.
    """

    accuracy: float
    holdout_accuracy: float
    learning_rate: float
    weight_decay: float


_Weights = dict[str, dict[str, Array]]


def linear_probe(
    train_x: Real[np.ndarray, "train dim"],
    train_y: Int[np.ndarray, "train"],
    test_x: Real[np.ndarray, "test dim"],
    test_y: Int[np.ndarray, "test"],
    num_classes: int,
    **options: Any,
) -> ProbeResult:
    """Trains and scores a linear classifier of frozen features that lie in the host's memory.

    Args:
      train_x: Features to learn from.
      train_y: Their classes in [0, num_classes); a row of -1, without a label, is left out.
      test_x: Features to report on.
      test_y: Their classes, likewise.
      num_classes: Number of classes.
      **options: As for `streamed_linear_probes`.

    Returns:
      Accuracy and choice.

    Raises:
      ValueError: As `streamed_linear_probes` does.
    """
    train_x, train_y = labelled(train_x, train_y, num_classes)
    test_x, test_y = labelled(test_x, test_y, num_classes)
    train, test = reader(train_x), reader(test_x)
    return streamed_linear_probes(train, train_y, test, test_y, num_classes, **options)["x"]


def streamed_linear_probes(
    train: Read,
    train_y: Int[np.ndarray, "train"],
    test: Read,
    test_y: Int[np.ndarray, "test"],
    num_classes: int,
    *,
    seed: int = 0,
    learning_rates: Sequence[float] = LEARNING_RATES,
    weight_decays: Sequence[float] = WEIGHT_DECAYS,
    epochs: int = 20,
    batch_size: int = 512,
    holdout: float = 0.1,
) -> dict[str, ProbeResult]:
    """Trains and scores linear classifiers of features that are read whenever they are needed.

    Each layer has a classifier of its own; all of them learn as the features pass. Features are
    standardised with the statistics of train. Every pair of learning rate and weight
    decay is trained on 1 - `holdout` of train by SGD (momentum 0.9, cosine to 0), all pairs at
    once. The pair that is best on the held-out rest is trained again on all of train, and only that
    classifier is tested. A few batches at a time lie on the device.

    Args:
      train: Reads features to learn from: twice for their statistics, once an epoch for each of
        both fits, and once for the choice. The layers have the same names whenever it reads.
      train_y: Their classes in [0, num_classes), each known.
      test: Reads features to report on, once.
      test_y: Their classes, likewise.
      num_classes: Number of classes.
      seed: Of the held-out part and of the order of the batches.
      learning_rates: To choose from, for standardised features.
      weight_decays: To choose from; L2, in the gradient.
      epochs: Passes over train; more where they would make fewer than 1,000 steps.
      batch_size: Rows of a step; at most those there are.
      holdout: Share of each class that is held out, in (0, 1).

    Returns:
      Accuracy and choice of each layer.

    Raises:
      ValueError: If `holdout` is not in (0, 1) or leaves a part without rows, or `epochs` is less
        than 1.
    """
    if not 0 < holdout < 1:
        raise ValueError(f"holdout is {holdout}; it must be in (0, 1).")
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}; it must be 1 or more.")
    held = _held_out(train_y, holdout, seed)
    if held.all() or not held.any():
        raise ValueError(f"A holdout of {holdout} leaves nothing to train on or to choose by.")
    pairs = np.array([(lr, wd) for lr in learning_rates for wd in weight_decays], np.float32)
    everything = np.arange(len(train_y))
    statistics = standardizations_of(lambda: read_all(train, everything))
    fit = functools.partial(
        _fit,
        train,
        train_y,
        statistics,
        num_classes=num_classes,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
    )
    chosen_by = np.flatnonzero(held)
    sweep = fit(np.flatnonzero(~held), dict.fromkeys(statistics, pairs))
    scores = _accuracies(sweep, statistics, train, chosen_by, train_y)
    best = {layer: int(np.argmax(found)) for layer, found in scores.items()}
    final = fit(everything, {layer: pairs[i : i + 1] for layer, i in best.items()})
    accuracies = _accuracies(final, statistics, test, np.arange(len(test_y)), test_y)
    return {
        layer: ProbeResult(
            accuracy=float(accuracies[layer][0]),
            holdout_accuracy=float(scores[layer][i]),
            learning_rate=float(pairs[i, 0]),
            weight_decay=float(pairs[i, 1]),
        )
        for layer, i in best.items()
    }


def _held_out(labels: Int[np.ndarray, "rows"], share: float, seed: int) -> np.ndarray:
    """Marks the same share of every class, at least one row if a class has two."""
    rng = np.random.default_rng([seed, 1])
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        held[rows[: max(round(share * len(rows)), min(1, len(rows) - 1))]] = True
    return held


def _fit(
    read: Read,
    labels: Int[np.ndarray, "rows"],
    statistics: Mapping[str, Standardization],
    used: Int[np.ndarray, "used"],
    pairs: Mapping[str, np.ndarray],
    *,
    num_classes: int,
    epochs: int,
    batch_size: int,
    seed: int,
) -> _Weights:
    """Trains one classifier a layer and pair on the rows that are used, all on the same batches."""
    steps = steps_of_an_epoch(len(used), batch_size)
    epochs = max(epochs, -(-_LEAST_STEPS // steps))
    weights = {
        layer: {
            "kernel": jnp.zeros((len(pairs[layer]), len(scale.mean), num_classes)),
            "bias": jnp.zeros((len(pairs[layer]), num_classes)),
        }
        for layer, scale in statistics.items()
    }
    momentum = jax.tree.map(jnp.zeros_like, weights)
    dim = sum(len(scale.mean) for scale in statistics.values())
    parts = batches(
        lambda _: read, labels, used, dim=dim, epochs=epochs, batch_size=batch_size, seed=seed
    )
    for features, y, done in parts:
        progress = (done / (epochs * steps)).astype(np.float32)
        # However slow the device is, no more than one part waits.
        jax.block_until_ready(weights)
        for layer, scale in statistics.items():
            x = scale.apply(features[layer]).reshape(*y.shape, -1)
            weights[layer], momentum[layer] = _train(
                weights[layer], momentum[layer], x, y, pairs[layer], progress
            )
    return weights


@functools.partial(jax.jit, donate_argnames=("weights", "momentum"))
def _train(
    weights: dict[str, Array],
    momentum: dict[str, Array],
    x: Float[Array | np.ndarray, "steps batch dim"],
    y: Int[Array | np.ndarray, "steps batch"],
    pairs: Float[Array | np.ndarray, "settings 2"],
    progress: Float[Array | np.ndarray, "steps"],
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Takes a step with each of several batches; `progress` is the share of all steps done."""

    def loss(weights: dict[str, Array], x: Array, y: Array, weight_decay: Array) -> Array:
        logits = x @ weights["kernel"] + weights["bias"][None]
        right = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
        l2 = 0.5 * weight_decay * jnp.sum(weights["kernel"] ** 2)
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - right) + l2

    gradients = jax.vmap(jax.grad(loss), in_axes=(0, None, None, 0))

    def step(carry: tuple, batch: tuple) -> tuple[tuple, None]:
        weights, momentum = carry
        x, y, progress = batch
        rates = half_cosine(jnp.asarray(pairs[:, 0]), 0.0, progress)
        grads = gradients(weights, x, y, pairs[:, 1])
        momentum = jax.tree.map(lambda m, g: _MOMENTUM * m + g, momentum, grads)
        weights = jax.tree.map(
            lambda w, m: w - rates.reshape(-1, *[1] * (w.ndim - 1)) * m, weights, momentum
        )
        return (weights, momentum), None

    (weights, momentum), _ = jax.lax.scan(step, (weights, momentum), (x, y, progress))
    return weights, momentum


def _accuracies(
    weights: _Weights,
    statistics: Mapping[str, Standardization],
    read: Read,
    rows: Int[np.ndarray, "rows"],
    labels: Int[np.ndarray, "all"],
) -> dict[str, np.ndarray]:
    """Top-1 of each classifier, by layer, on some rows."""
    hits = count_right(
        lambda layer, x: _predict(weights[layer], statistics[layer].apply(x)), read, rows, labels
    )
    return {layer: right / len(rows) for layer, right in hits.items()}


@jax.jit
def _predict(
    weights: dict[str, Array], x: Float[Array | np.ndarray, "rows dim"]
) -> Int[Array, "settings rows"]:
    """The class that each classifier finds likeliest for each row."""
    logits = jnp.einsum("bd,sdc->sbc", x, weights["kernel"]) + weights["bias"][:, None]
    return jnp.argmax(logits, axis=-1)
