"""SVM: linear support vector machines of frozen features, as Pascal VOC 2007 is scored with."""

from __future__ import annotations

import logging
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Real
from ml_collections import ConfigDict

from ssljax.errors import UserError
from ssljax.evals import features, labels
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.evals.extract import extract
from ssljax.methods.contract import TrainState
from ssljax.metrics import svm as machines
from ssljax.metrics.average_precision import average_precision, mean_average_precision

_log = logging.getLogger(__name__)

_FITTED = 24
"""Bytes that fitting takes for each value of the features, at its peak as measured."""


class _Split(NamedTuple):
    """Features of one stage, with what each image shows."""

    x: Real[np.ndarray, "images dim"]
    labels: Int[np.ndarray, "images classes"]


class Svm(Evaluation):
    """Mean average precision "svm_map" of a machine a class, see `ssljax.metrics.svm`.

    "svm_map_11" is that of eleven points, as VOC 2007 was scored at its time. Where records have
    several classes (`config.data.multi_label_key`) those are learnt, and else the one of each
    against all others. With `low_shot` there are "svm_<k>_shot" as well, of a few images of each
    class, with the spread over the draws.
    """

    name = "svm"

    @staticmethod
    def default_config() -> ConfigDict:
        """The benchmark's: about 9,000 values of a map, and its costs."""
        return ConfigDict(
            dict(
                costs=machines.COSTS,
                stages=(),  # Empty: those of `config.evals.stages`.
                pool_values=9600,
                low_shot=(),  # Images a class, such as (1, 2, 4, 8, 16, 32, 64, 96).
                seeds=5,  # Draws of each.
            )
        )

    def stages(self, run: Run) -> tuple[str, ...]:
        """Its own."""
        return _layers(run).stages

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if a class cannot be learnt or scored, or there is no such stage."""
        config, layers = run.config.svm, _layers(run)
        sizes = features.dims(run, run.experiment.abstract_state, layers)
        # Machines are fitted in float64, on a few copies of one stage at a time.
        largest = 4 * sum(sizes.values()) + _FITTED * max(sizes.values())
        instead = "choose a smaller config.evals.svm.pool_values, or other config.evals.svm.stages"
        if run.config.baselines:
            (count,) = features.dims(run, None).values()
            if (pixels := (1 + _FITTED) * count) > largest:
                largest, instead = pixels, "set config.evals.baselines=False"
        features.check_room(run, largest, instead)
        train = labels.truth(run, features.train_scan(run), self.name)
        test = labels.scored_truth(run, features.test_scan(run), self.name)
        where = run.name_of(run.config.train_split)
        if train.names != test.names:
            raise UserError(
                f"{where} and {run.name_of(run.config.test_split)} have other classes: choose "
                "another config.evals.test_split."
            )
        known = train.labels[(train.labels >= 0).any(axis=1)] == 1
        for name, positive in zip(train.names, known.T, strict=True):
            count, total = int(positive.sum()), len(positive)
            try:
                machines.check_enough(count, total - count, len(config.costs) > 1, name)
            except ValueError as error:
                raise UserError(f"Of {where}: {error} Or {leave_out(self.name)}.") from error
        for k in config.low_shot:
            fewest = min(int((train.labels == value).sum(axis=0).min()) for value in (0, 1))
            if k > fewest:
                raise UserError(
                    f"config.evals.svm.low_shot asks for {k} images, and a class of {where} has, or"
                    f" is missing in, {fewest}: ask for at most {fewest}."
                )
        plain = ("svm_map", "svm_map_11", *map(_shot, config.low_shot))
        return features.names(run, plain, layers)

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the features of every stage."""
        layers = _layers(run)
        read = features.outputs(run, state, layers)
        splits = []
        for scan, find in (
            (features.train_scan(run), labels.truth),
            (features.test_scan(run), labels.scored_truth),
        ):
            truth = find(run, scan, self.name)
            found = extract(read, scan, mesh=run.mesh, count=len(scan))
            splits.append((found.outputs, truth.labels[found.places], truth.names))
        (train, train_labels, names), (test, test_labels, _) = splits
        scores = {
            stage: _scores(
                run, _Split(rows, train_labels), _Split(test[stage], test_labels), stage, names
            )
            for stage, rows in train.items()
        }
        return Scores(features.by_stage(run, scores, layers))


def _scores(
    run: Run, train: _Split, test: _Split, stage: str, names: tuple[str, ...]
) -> dict[str, float]:
    for rows in (train.x, test.x):
        if not np.isfinite([rows.min(), rows.max()]).all():
            raise ValueError("Features are not finite: a score of them would mean nothing.")
    config, costs = run.config.svm, tuple(run.config.svm.costs)
    result = machines.linear_svms(*train, test.x, costs, names)
    _tell(stage, result, test.labels, names)
    scores = {
        "svm_map": mean_average_precision(result.decisions, test.labels, "area", names),
        "svm_map_11": mean_average_precision(result.decisions, test.labels, "eleven_points", names),
    }
    for k in config.low_shot:
        draws = [
            mean_average_precision(
                machines.low_shot_svms(*train, test.x, k, seed, costs, names).decisions,
                test.labels,
                "area",
                names,
            )
            for seed in range(config.seeds)
        ]
        spread = float(np.std(draws, ddof=1)) if len(draws) > 1 else 0.0
        scores |= {_shot(k): float(np.mean(draws)), f"{_shot(k)}_std": spread}
    return scores


def _tell(
    stage: str,
    result: machines.SvmResult,
    truth: Int[np.ndarray, "images classes"],
    names: tuple[str, ...],
) -> None:
    """Logs what is found of each class."""
    if jax.process_index() != 0:
        return
    for number, (name, cost) in enumerate(zip(names, result.costs, strict=True)):
        known = truth[:, number] >= 0
        score = average_precision(result.decisions[known, number], truth[known, number] == 1)
        _log.info("SVM of %s, %s: average precision %.3f at cost %.3g", stage, name, score, cost)


def _shot(k: int) -> str:
    return f"svm_{k}_shot"


def _layers(run: Run) -> features.Layers:
    return features.own_layers(run, "svm")
