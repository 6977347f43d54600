"""Linear probe: a linear classifier of frozen features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from jaxtyping import Int, Real
from ml_collections import ConfigDict

from ssljax import data
from ssljax.errors import UserError
from ssljax.evals import features, labels
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.evals.extract import Outputs, stream
from ssljax.methods.contract import TrainState
from ssljax.metrics.linear import ProbeResult, Read, linear_probe, streamed_linear_probes


class Linear(Evaluation):
    """Accuracy "linear": see `ssljax.metrics.linear_probe`; "linear_holdout" if it is asked for.

    It trains, batch by batch, from the features that all probes share. Where they are more than the
    host's memory holds, `config.evals.linear.stream` makes them anew from the images whenever they
    are read: some 45 passes over train with the default number of epochs.
    """

    name = "linear"

    @staticmethod
    def default_config() -> ConfigDict:
        """Passes over train of each of two fits; whether images are read anew for each."""
        return ConfigDict(
            dict(
                epochs=20,
                stream=False,
                # Whether that on held-out training images is told too: a stage may be chosen by it.
                holdout=False,
            )
        )

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
        return features.names(run, tuple(_scores(run, ProbeResult(0.0, 0.0, 0.0, 0.0))))

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the features of every stage."""
        epochs = run.config.linear.epochs
        if run.config.linear.stream:
            return Scores(features.by_stage(run, _streamed(run, state, epochs)))
        return features.scored(
            run, state, lambda sets: _scores(run, linear_probe(*sets, epochs=epochs))
        )


def _streamed(run: Run, state: TrainState | None, epochs: int) -> dict[str, dict[str, float]]:
    """Scores all stages as the images pass, and keeps no features."""
    scans = features.train_scan(run), features.test_scan(run)
    # A pass without a network finds out which images can be read and have a label.
    train, test = (features.labelled(run, lambda _: {}, scan) for scan in scans)
    num_classes = scans[0].source.num_classes
    assert num_classes is not None
    outputs = features.outputs(run, state)
    read_train, read_test = (
        _reader(run, outputs, scan.source, part.places)
        for scan, part in zip(scans, (train, test), strict=True)
    )
    results = streamed_linear_probes(
        read_train, train.labels, read_test, test.labels, num_classes, epochs=epochs
    )
    return {stage: _scores(run, result) for stage, result in results.items()}


def _scores(run: Run, result: ProbeResult) -> dict[str, float]:
    held_out = {"linear_holdout": result.holdout_accuracy} if run.config.linear.holdout else {}
    return {"linear": result.accuracy} | held_out


def _reader(
    run: Run, outputs: Outputs, source: data.Source, places: Int[np.ndarray, "rows"]
) -> Read:
    """Reads features of the images at some places."""

    def read(rows: Int[np.ndarray, "rows"], size: int) -> Iterator[dict[str, np.ndarray]]:
        scan = run.experiment.scan(source, run.config.batch_size, places[rows], may_keep=False)
        parts = stream(outputs, scan, mesh=run.mesh)
        return regrouped((part.outputs for part in parts), size)

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
