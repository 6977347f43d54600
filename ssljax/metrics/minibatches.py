"""Minibatches of features that are read whenever they are needed: what trained probes share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import jax
import numpy as np
from jaxtyping import Array, Int, Real

Features = Mapping[str, Real[np.ndarray, "_ _dim"]]
"""Features of the same images by the name of the layer that they are of."""
Read = Callable[[Int[np.ndarray, "rows"], int], Iterable[Features]]
"""`read(rows, size)` gives the features of these rows, in this order, `size` of them at a time."""

_ROWS_READ = 8192
"""Rows that are read at once where nothing is learnt from them."""
_DEVICE_BYTES = 2**26
"""Of features that lie on the device at once."""


def reader(features: Real[np.ndarray, "rows dim"]) -> Read:
    """Reads from an array, of one layer "x".

    Args:
      features: One row an image.
    """

    def read(rows: Int[np.ndarray, "rows"], size: int) -> Iterator[Features]:
        return ({"x": features[rows[start : start + size]]} for start in range(0, len(rows), size))

    return read


def read_all(read: Read, rows: Int[np.ndarray, "rows"]) -> Iterable[Features]:
    """The features of some rows, of many at a time: nothing is learnt from them.

    Args:
      read: Reads them.
      rows: Which.
    """
    return read(rows, _ROWS_READ)


def steps_of_an_epoch(rows: int, batch_size: int) -> int:
    """How many whole batches there are; an incomplete one is left out.

    Args:
      rows: To learn from, one or more.
      batch_size: Rows of a step; at most those there are.
    """
    return rows // min(batch_size, rows)


def batches(
    read: Callable[[int], Read],
    labels: Int[np.ndarray, "rows"],
    used: Int[np.ndarray, "used"],
    *,
    dim: int,
    epochs: int,
    batch_size: int,
    seed: int,
) -> Iterator[tuple[Features, Int[np.ndarray, "steps batch"], Int[np.ndarray, "steps"]]]:
    """Shuffles rows anew in every epoch, and gives several batches at a time.

    Args:
      read: Gives for an epoch, from 0, what reads its features.
      labels: Of all rows.
      used: The rows to learn from.
      dim: Features of a row, over all layers.
      epochs: Passes over the rows.
      batch_size: Rows of a step; at most those there are.
      seed: Of the order.

    Yields:
      The features of some steps, one batch after the other; their labels; and how many steps were
      taken before each.
    """
    steps = steps_of_an_epoch(len(used), batch_size)
    batch_size = min(batch_size, len(used))
    at_once = batch_size * min(steps, max(1, _DEVICE_BYTES // (4 * dim * batch_size)))
    key, done = jax.random.key(seed), 0
    for epoch in range(epochs):
        order = jax.random.permutation(jax.random.fold_in(key, epoch), len(used))
        rows = used[np.asarray(order)[: steps * batch_size]]
        parts = zip(range(0, len(rows), at_once), read(epoch)(rows, at_once), strict=True)
        for start, features in parts:
            y = labels[rows[start : start + at_once]].astype(np.int32).reshape(-1, batch_size)
            yield features, y, np.arange(done, done + len(y))
            done += len(y)


def count_right(
    predict: Callable[[str, Real[np.ndarray, "_ _dim"]], Int[Array, "settings _"]],
    read: Read,
    rows: Int[np.ndarray, "rows"],
    labels: Int[np.ndarray, "all"],
) -> dict[str, Int[np.ndarray, "settings"]]:
    """Counts how often each classifier of each layer is right.

    Args:
      predict: Gives the classes that the classifiers of a layer find likeliest.
      read: Reads the features.
      rows: To predict.
      labels: True classes of all rows.

    Returns:
      The counts by layer.
    """
    right: dict[str, np.ndarray] = {}
    start = 0
    for part in read_all(read, rows):
        for layer, features in part.items():
            predicted = np.asarray(predict(layer, features))
            truth = labels[None, rows[start : start + predicted.shape[1]]]
            right[layer] = right.get(layer, 0) + np.sum(predicted == truth, axis=1)
        start += predicted.shape[1]
    return right
