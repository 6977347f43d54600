"""Linear probe: softmax regression on frozen features, its settings chosen on held-out train data.

Reference: Kornblith et al., Do Better ImageNet Models Transfer Better?, 2019, for choosing the
regularisation on a held-out part of train; the sweep trains all settings at once.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Real

from ssljax.metrics.labels import labelled
from ssljax.metrics.scaling import Standardization, standardization

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


def linear_probe(
    train_x: Real[np.ndarray, "train dim"],
    train_y: Int[np.ndarray, "train"],
    test_x: Real[np.ndarray, "test dim"],
    test_y: Int[np.ndarray, "test"],
    num_classes: int,
    *,
    seed: int = 0,
    learning_rates: Sequence[float] = LEARNING_RATES,
    weight_decays: Sequence[float] = WEIGHT_DECAYS,
    epochs: int = 20,
    batch_size: int = 512,
    holdout: float = 0.1,
) -> ProbeResult:
    """Trains and scores a linear classifier of frozen features.

    Features are standardised with the statistics of train. Every pair of learning rate and weight
    decay is trained on 1 - `holdout` of train by SGD (momentum 0.9, cosine to 0), all pairs at
    once. The pair that is best on the held-out rest is trained again on all of train, and only that
    classifier is tested.

    Args:
      train_x: Features to learn from.
      train_y: Their classes in [0, num_classes); a row of -1, without a label, is left out.
      test_x: Features to report on.
      test_y: Their classes, likewise.
      num_classes: Number of classes.
      seed: Of the held-out part and of the order of the batches.
      learning_rates: To choose from, for standardised features.
      weight_decays: To choose from; L2, in the gradient.
      epochs: Passes over train; more where they would make fewer than 1,000 steps.
      batch_size: Rows of a step; at most those there are.
      holdout: Share of each class that is held out, in (0, 1).

    Returns:
      Accuracy and choice.

    Raises:
      ValueError: If `holdout` is not in (0, 1) or leaves a part without rows, or `epochs` is less
        than 1.
    """
    if not 0 < holdout < 1:
        raise ValueError(f"holdout is {holdout}; it must be in (0, 1).")
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}; it must be 1 or more.")
    train_x, train_y = labelled(train_x, train_y, num_classes)
    test_x, test_y = labelled(test_x, test_y, num_classes)
    held = _held_out(train_y, holdout, seed)
    if held.all() or not held.any():
        raise ValueError(f"A holdout of {holdout} leaves nothing to train on or to choose by.")
    pairs = np.array([(lr, wd) for lr in learning_rates for wd in weight_decays], np.float32)
    statistics = standardization(train_x)
    # One copy of train on the device, for all fits.
    x, y = jnp.asarray(statistics.apply(train_x)), jnp.asarray(train_y, jnp.int32)
    fit = functools.partial(
        _fit, x, y, num_classes=num_classes, epochs=epochs, batch_size=batch_size, seed=seed
    )
    sweep = fit(np.flatnonzero(~held), pairs)
    scores = _accuracies(sweep, statistics, train_x[held], train_y[held])
    best = int(np.argmax(scores))
    final = fit(np.arange(len(train_x)), pairs[best : best + 1])
    return ProbeResult(
        accuracy=float(_accuracies(final, statistics, test_x, test_y)[0]),
        holdout_accuracy=float(scores[best]),
        learning_rate=float(pairs[best, 0]),
        weight_decay=float(pairs[best, 1]),
    )


def _held_out(labels: Int[np.ndarray, "rows"], share: float, seed: int) -> np.ndarray:
    """Marks the same share of every class, at least one row if a class has two."""
    rng = np.random.default_rng([seed, 1])
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        held[rows[: max(round(share * len(rows)), min(1, len(rows) - 1))]] = True
    return held


def _fit(
    x: Float[Array, "rows dim"],
    y: Int[Array, "rows"],
    used: Int[np.ndarray, "used"],
    pairs: np.ndarray,
    *,
    num_classes: int,
    epochs: int,
    batch_size: int,
    seed: int,
) -> dict[str, Array]:
    """Trains one classifier per pair on the rows that are used, all on the same batches."""
    batch_size = min(batch_size, len(used))
    steps = len(used) // batch_size
    epochs = max(epochs, -(-_LEAST_STEPS // steps))
    settings, dim = len(pairs), x.shape[1]
    weights = {
        "kernel": jnp.zeros((settings, dim, num_classes)),
        "bias": jnp.zeros((settings, num_classes)),
    }
    momentum = jax.tree.map(jnp.zeros_like, weights)
    used_device, pairs_device = jnp.asarray(used, jnp.int32), jnp.asarray(pairs)
    key = jax.random.key(seed)
    for epoch in range(epochs):
        weights, momentum = _epoch(
            weights,
            momentum,
            x,
            y,
            used_device,
            pairs_device,
            jax.random.fold_in(key, epoch),
            jnp.asarray(epoch * steps, jnp.int32),
            total=epochs * steps,
            batch_size=batch_size,
        )
    return weights


@functools.partial(
    jax.jit, static_argnames=("total", "batch_size"), donate_argnames=("weights", "momentum")
)
def _epoch(
    weights: dict[str, Array],
    momentum: dict[str, Array],
    x: Float[Array, "rows dim"],
    y: Int[Array, "rows"],
    used: Int[Array, "used"],
    pairs: Float[Array, "settings 2"],
    key: PRNGKeyArray,
    first: Int[Array, ""],
    total: int,
    batch_size: int,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """One pass over shuffled batches; the incomplete one is left out."""
    steps = used.shape[0] // batch_size
    order = used[jax.random.permutation(key, used.shape[0])[: steps * batch_size]]

    def loss(weights: dict[str, Array], x: Array, y: Array, weight_decay: Array) -> Array:
        logits = x @ weights["kernel"] + weights["bias"][None]
        right = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
        l2 = 0.5 * weight_decay * jnp.sum(weights["kernel"] ** 2)
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - right) + l2

    gradients = jax.vmap(jax.grad(loss), in_axes=(0, None, None, 0))

    def step(carry: tuple, row: tuple) -> tuple[tuple, None]:
        weights, momentum = carry
        number, rows = row
        progress = (first + number).astype(jnp.float32) / total
        rates = pairs[:, 0] * 0.5 * (1 + jnp.cos(jnp.pi * progress))
        grads = gradients(weights, x[rows], y[rows], pairs[:, 1])
        momentum = jax.tree.map(lambda m, g: _MOMENTUM * m + g, momentum, grads)
        weights = jax.tree.map(
            lambda w, m: w - rates.reshape(-1, *[1] * (w.ndim - 1)) * m, weights, momentum
        )
        return (weights, momentum), None

    batches = (jnp.arange(steps), order.reshape(steps, batch_size))
    (weights, momentum), _ = jax.lax.scan(step, (weights, momentum), batches)
    return weights, momentum


def _accuracies(
    weights: dict[str, Array],
    statistics: Standardization,
    x: Real[np.ndarray, "rows dim"],
    y: Int[np.ndarray, "rows"],
) -> np.ndarray:
    """Top-1 of each classifier."""
    right = np.zeros(len(weights["bias"]))
    for start in range(0, len(x), 8192):
        part = jnp.asarray(statistics.apply(x[start : start + 8192]))
        predicted = jnp.argmax(
            jnp.einsum("bd,sdc->sbc", part, weights["kernel"]) + weights["bias"][:, None], axis=-1
        )
        right += np.sum(jax.device_get(predicted) == y[None, start : start + 8192], axis=1)
    return right / len(x)
