"""Features that are made anew from the images whenever a probe reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Int, Real

from ssljax import data
from ssljax.evals import features
from ssljax.evals.contract import Run
from ssljax.evals.extract import Extracted, stream
from ssljax.metrics.minibatches import Read


class Part(NamedTuple):
    """The images of a split that can be read and have a label.

    Attributes:
      source: The split.
      labels: Their classes.
      places: Where in the source they are.
    """

    source: data.Source
    labels: Int[np.ndarray, "rows"]
    places: Int[np.ndarray, "rows"]


class Sets(NamedTuple):
    """What is learnt from and what is reported on.

    Attributes:
      train: The images to learn from.
      test: The images to report on.
      num_classes: How many classes there are.
    """

    train: Part
    test: Part
    num_classes: int


def open_sets(run: Run) -> Sets:
    """Finds out which images can be read and have a label, in a pass without a network."""
    train, test = (_part(run, scan) for scan in (features.train_scan(run), features.test_scan(run)))
    num_classes = train.source.num_classes
    assert num_classes is not None
    return Sets(train, test, num_classes)


def _part(run: Run, scan: data.Scan) -> Part:
    found: Extracted = features.labelled(run, lambda _: {}, scan)
    return Part(scan.source, found.labels, found.places)


def reader(
    run: Run,
    outputs: Callable[..., dict[str, Array]],
    part: Part,
    fields: tuple[str, ...] = ("image",),
) -> Read:
    """Reads features of the images at some places.

    Args:
      run: The run.
      outputs: What is read of images, by stage.
      part: The images.
      fields: What of a batch `outputs` is called with.
    """

    def read(rows: Int[np.ndarray, "rows"], size: int) -> Iterator[dict[str, np.ndarray]]:
        order = part.places[rows]
        scan = run.experiment.scan(part.source, run.config.batch_size, order, may_keep=False)
        parts = stream(outputs, scan, mesh=run.mesh, fields=fields)
        return regrouped((found.outputs for found in parts), size)

    return read


def regrouped(
    parts: Iterable[Mapping[str, Real[np.ndarray, "_ _dim"]]], size: int
) -> Iterator[dict[str, np.ndarray]]:
    """Puts rows that come part by part together anew, `size` of them at a time.

    Args:
      parts: Rows of each layer.
      size: Of every part that is given but the last.

    Yields:
      The rows in their order.

    Raises:
      ValueError: If a row is not finite.
    """
    waiting: dict[str, list[np.ndarray]] = {}
    count = 0
    for part in parts:
        for layer, rows in part.items():
            if not np.isfinite([rows.min(initial=0), rows.max(initial=0)]).all():
                raise ValueError("Features are not finite: a score of them would mean nothing.")
            waiting.setdefault(layer, []).append(rows)
        count += len(next(iter(part.values())))
        if count >= size:
            joined = {layer: np.concatenate(rows) for layer, rows in waiting.items()}
            whole = count // size * size
            for start in range(0, whole, size):
                yield {layer: rows[start : start + size] for layer, rows in joined.items()}
            waiting = {layer: [rows[whole:]] for layer, rows in joined.items()}
            count -= whole
    if count:
        yield {layer: np.concatenate(rows) for layer, rows in waiting.items()}
