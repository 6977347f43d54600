"""Linear probe: a linear classifier of frozen features."""

from __future__ import annotations

from ml_collections import ConfigDict

from ssljax.errors import UserError
from ssljax.evals import features, labels, streamed
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.methods.contract import TrainState
from ssljax.metrics.linear import ProbeResult, linear_probe, streamed_linear_probes


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
    sets, outputs = streamed.open_sets(run), features.outputs(run, state)
    train, test = (streamed.reader(run, outputs, part) for part in (sets.train, sets.test))
    results = streamed_linear_probes(
        train, sets.train.labels, test, sets.test.labels, sets.num_classes, epochs=epochs
    )
    return {stage: _scores(run, result) for stage, result in results.items()}


def _scores(run: Run, result: ProbeResult) -> dict[str, float]:
    held_out = {"linear_holdout": result.holdout_accuracy} if run.config.linear.holdout else {}
    return {"linear": result.accuracy} | held_out
