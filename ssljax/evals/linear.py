"""Linear probe: a linear classifier of frozen features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Int, Real
from ml_collections import ConfigDict

from ssljax import data
from ssljax.errors import UserError
from ssljax.evals import features, labels
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.evals.extract import Outputs, stream
from ssljax.methods.contract import TrainState
from ssljax.metrics.linear import Read, linear_probe, streamed_linear_probe


class Linear(Evaluation):
    """Accuracy "linear": see `ssljax.metrics.linear_probe`.

    It trains, batch by batch, from the features that all probes share. Where they are more than the
    host's memory holds, `config.evals.linear.stream` makes them anew from the images whenever they
    are read: some 45 passes over train with the default number of epochs.
    """

    name = "linear"

    @staticmethod
    def default_config() -> ConfigDict:
        """Passes over train of each of two fits; whether images are read anew for each."""
        return ConfigDict(dict(epochs=20, stream=False))

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if no class has an image to learn from and one to hold back."""
        features.check(run, self.name, keeps=not run.config.linear.stream)
        train = features.train_scan(run)
        if labels.count(run, train, self.name, lambda n: n.max() >= 2).max() < 2:
            raise UserError(
                "The linear probe holds images of a class back, and "
                f"{run.name_of(train.source.split)} has no class of two labelled images: "
                f"{leave_out(self.name)}."
            )
        return features.names(run, ("linear",))

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the features of every stage."""
        epochs = run.config.linear.epochs
        if run.config.linear.stream:
            return Scores(features.by_stage(run, _streamed(run, state, epochs)))
        return features.scored(
            run, state, lambda sets: {"linear": linear_probe(*sets, epochs=epochs).accuracy}
        )


def _streamed(run: Run, state: TrainState | None, epochs: int) -> dict[str, dict[str, float]]:
    """Scores each stage by itself, and keeps no features."""
    scans = features.train_scan(run), features.test_scan(run)
    # A pass without a network finds out which images can be read and have a label.
    train, test = (features.labelled(run, lambda _: {}, scan) for scan in scans)
    num_classes = scans[0].source.num_classes
    assert num_classes is not None
    outputs, found = features.outputs(run, state), {}
    for stage in run.config.stages if state is not None else ("features",):
        readers = (
            _reader(run, outputs, stage, scan.source, part.places)
            for scan, part in zip(scans, (train, test), strict=True)
        )
        read_train, read_test = readers
        result = streamed_linear_probe(
            read_train, train.labels, read_test, test.labels, num_classes, epochs=epochs
        )
        found[stage] = {"linear": result.accuracy}
    return found


def _reader(
    run: Run, outputs: Outputs, stage: str, source: data.Source, places: Int[np.ndarray, "rows"]
) -> Read:
    """Reads features of the images at some places."""

    def read(rows: Int[np.ndarray, "rows"], size: int) -> Iterator[np.ndarray]:
        scan = run.experiment.scan(source, run.config.batch_size, places[rows], may_keep=False)
        parts = stream(lambda images: {stage: outputs(images)[stage]}, scan, mesh=run.mesh)
        return regrouped((part.outputs[stage] for part in parts), size)

    return read


def regrouped(
    parts: Iterable[Real[np.ndarray, "_ dim"]], size: int
) -> Iterator[Real[np.ndarray, "_ dim"]]:
    """Puts rows that come part by part together anew, `size` of them at a time.

    Args:
      parts: Rows.
      size: Of every part that is given but the last.

    Yields:
      The rows in their order.

    Raises:
      ValueError: If a row is not finite.
    """
    waiting: list[np.ndarray] = []
    for part in parts:
        if not np.isfinite([part.min(initial=0), part.max(initial=0)]).all():
            raise ValueError("Features are not finite: a score of them would mean nothing.")
        waiting.append(part)
        if sum(map(len, waiting)) >= size:
            rows = np.concatenate(waiting)
            whole = len(rows) // size * size
            for start in range(0, whole, size):
                yield rows[start : start + size]
            waiting = [rows[whole:]]
    rest = np.concatenate(waiting) if waiting else np.zeros((0, 0))
    if len(rest):
        yield rest
