"""Scores of a run: every evaluation that is asked for, with its baselines."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from ssljax import config as configs
from ssljax import paths
from ssljax.errors import MissingScores, UserError
from ssljax.evals import REGISTRY, Run, Scores
from ssljax.methods.contract import TrainState
from ssljax.report import (
    MetricWriter,
    Picture,
    ScoreSheet,
    free_path,
    own_path,
    save_notes,
    save_pictures,
)
from ssljax.run import checkpoint, hosts, pretrained
from ssljax.run import workdir as workdirs
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.experiment import Experiment

_log = logging.getLogger(__name__)

_NO_SETTINGS = ("data.cache", "data.threads", "data.prefetch")
"""Keys on which no score of a checkpoint depends, besides the intervals of evaluations."""


class Evaluator:
    """Evaluates states of one run.

    Args:
      experiment: The run.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._config = experiment.config.evals
        self._run = Run(experiment)
        self._evaluations = {name: kind() for name, kind in REGISTRY.items()}

    def due(self, step: int) -> tuple[str, ...]:
        """The evaluations that are made after so many train steps, before the end."""
        return tuple(
            name
            for name in self._evaluations
            if self._config[name].every and step % self._config[name].every == 0
        )

    def check(self) -> None:
        """Raises a `UserError` now if an evaluation of a training run will not be possible.

        Sources are opened, and labels may be read, but no images.
        """
        self.check_scores([*self._config.final, *self.due(0)])
        if self._experiment.config.checkpoint.best:
            self._check_best(self._experiment.config.checkpoint.best)

    def check_scores(self, which: Sequence[str]) -> None:
        """Raises a `UserError` if one of these evaluations is not possible."""
        for name in dict.fromkeys(which):
            self._evaluations[name].check(self._run)

    def _check_best(self, best: str) -> None:
        """Raises a `UserError` unless the best checkpoint's score is known when one is saved."""
        told = f"config.checkpoint.best={best!r} keeps the best checkpoint that is scored as it is "
        scheduled = self.due(0)
        if not scheduled:
            raise UserError(
                told + "saved, and nothing is evaluated before the end: set the key `every` of an "
                "evaluation, such as config.evals.knn.every, to a multiple of "
                "config.checkpoint.every."
            )
        makers = {
            score: name
            for name in scheduled
            if self._evaluations[name].higher_is_better
            for score in self._evaluations[name].check(self._run)
        }
        if best not in makers:
            raise UserError(
                f"config.checkpoint.best={best!r} is not a score that is computed before the end "
                f"and of which more is better: there are {', '.join(makers) or 'none'}."
            )
        key, total = f"config.evals.{makers[best]}.every", self._experiment.task.total_steps
        every, save = self._config[makers[best]].every, self._experiment.config.checkpoint.every
        if math.lcm(every, save) >= total:
            raise UserError(
                told + f"saved, but {key}={every} and config.checkpoint.every={save} do not meet "
                f"before the last of {total} steps: set {key} to a multiple of "
                "config.checkpoint.every, below that."
            )

    def score(self, state: TrainState, which: Sequence[str]) -> Scores:
        """Scores a state alone, while its run goes on.

        Args:
          state: Training state.
          which: Names of evaluations.

        Returns:
          Scores and pictures. What fails is reported in the log and absent.
        """
        sheet = ScoreSheet(self._about(state, which))
        pictures: dict[str, Picture] = {}
        notes: dict[str, Any] = {}

        def show(found: Scores) -> None:
            pictures.update(found.pictures)
            notes.update(found.notes)

        self._fill(sheet, state, which, baselines=False, show=show)
        return Scores(self._trained(sheet), pictures, notes)

    def report(
        self,
        state: TrainState,
        workdir: paths.Path,
        writer: MetricWriter | None = None,
        beside: bool = False,
    ) -> dict[str, dict[str, float]]:
        """Makes the final evaluations of a state and of the baselines, and prints their tables.

        What an interrupted attempt has scored is not scored again.

        Args:
          state: The trained state.
          workdir: `scores.json` and `scores.md` are written there, score by score; scores of other
            settings at the same step are left, and the new ones named as with `beside`.
          writer: Also gets the trained state's scores, once, and its pictures.
          beside: Whether the files are not the run's own: they are then named by the set, the
            stages and the step, as `ssljax.report.free_path` says, and pictures likewise.

        Returns:
          Scores by row of the tables.

        Raises:
          MissingScores: If some could not be computed; the others are written.
        """
        about = self._about(state, self._config.final)
        path = free_path(workdir, about) if beside else own_path(workdir, about)
        sheet, step = ScoreSheet(about, path), int(state.step)
        hosts.on_first(sheet.write, path)  # Reports what cannot be written before computing it.

        def show(found: Scores) -> None:
            if writer is not None:
                writer.write_pictures(step, found.pictures)
                writer.write_notes(step, found.notes)
            elif jax.process_index() == 0:
                directory = path.with_name(f"{path.name}-pictures")
                save_pictures(directory, step, found.pictures)
                save_notes(directory, step, found.notes)

        self._fill(sheet, state, self._config.final, self._config.baselines, show)
        if writer is not None and not sheet.was_complete:
            trained = {f"eval/{name}": value for name, value in self._trained(sheet).items()}
            writer.write(step, trained)
        sheet.write(complete=True)
        if jax.process_index() == 0:
            print(sheet.text())
            _log.info("The scores are in %s.json and .md.", path)
        if sheet.errors:
            missing = [
                f"{', '.join(names)} of the {row} ({next(iter(names.values()))})"
                for row, names in sheet.errors.items()
            ]
            raise MissingScores(
                f"Not all scores could be computed: {'; '.join(missing)}. The others are in "
                f"{path}.json."
            )
        return sheet.scores

    def _fill(
        self,
        sheet: ScoreSheet,
        state: TrainState,
        which: Sequence[str],
        baselines: bool,
        show: Callable[[Scores], None],
    ) -> None:
        """Scores the baselines, then the state, and shows pictures."""
        chosen = [self._evaluations[name] for name in dict.fromkeys(which)]
        untrained = functools.cache(self._experiment.init)
        subjects: list[Callable[[], TrainState | None]] = [lambda: None, untrained, lambda: state]
        # Evaluations of the same rows share features or samples, so they run row by row.
        for rows in dict.fromkeys(evaluation.rows for evaluation in chosen):
            for row, subject in zip(rows, subjects, strict=True):
                asked = [
                    evaluation
                    for evaluation in chosen
                    if evaluation.rows == rows and not _is_scored(sheet, row, evaluation.name)
                ]
                if not asked or not row or not (baselines or row == rows.trained):
                    continue
                scored = subject()
                for evaluation in asked:
                    with sheet.attempt(row, evaluation.name):
                        found = evaluation.score(self._run, scored)
                        if found.pictures or found.notes:
                            show(found)
                        sheet.add(row, found.values)
                self._run.forget()

    def _trained(self, sheet: ScoreSheet) -> dict[str, float]:
        rows = {evaluation.rows.trained for evaluation in self._evaluations.values()}
        return {
            name: value
            for row, scores in sheet.scores.items()
            if row in rows
            for name, value in scores.items()
        }

    def _about(self, state: TrainState, which: Sequence[str]) -> dict[str, Any]:
        """What the scores describe, and the settings that they were made with."""
        keys = {
            key: value
            for key, value in configs.flatten(self._experiment.config).items()
            if key == "seed" or key.startswith(("data.", "evals."))
            if key not in _NO_SETTINGS and not key.endswith(".every")
        }
        stages = [stage for name in which for stage in self._evaluations[name].stages(self._run)]
        return {
            "step": int(state.step),
            "state": checkpoint.checksum(state),
            "network": self._run.method(state).evaluated,
            "stage": ", ".join(dict.fromkeys(stages)),
            "data": self._run.dataset,
            "settings": keys,
        }


def _is_scored(sheet: ScoreSheet, row: str, name: str) -> bool:
    """Whether an earlier attempt has made an evaluation; the same answer in every process."""
    known = np.array(name in sheet.finished.get(row, ()))
    return bool(multihost_utils.broadcast_one_to_all(known))


def newest_state(experiment: Experiment, workdir: paths.Path) -> TrainState:
    """Reads the newest checkpoint of a workdir.

    Where there is none, and `config.pretrained.weights` names a file, the state is that with which
    training would begin: the weights of the file are scored, or written, as they are.

    Args:
      experiment: The run that wrote it.
      workdir: That of the run.

    Raises:
      UserError: If there is no checkpoint and no file, or either is of another model.
    """
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    with contextlib.closing(checkpoints):
        state: TrainState | None = checkpoints.restore(experiment.abstract_state)
    if state is None and experiment.config.get("pretrained", {}).get("weights"):
        hosts.on_first(lambda: paths.make_directory(workdir), workdir)
        return experiment.start()
    if state is None:
        raise UserError(f"There is no checkpoint in {workdir}: train first, with --mode=train.")
    return state


def evaluate_checkpoint(config: ConfigDict, workdir: paths.Path) -> dict[str, dict[str, float]]:
    """Scores the newest checkpoint of a workdir.

    The run's own `scores.json` stays as it is. What is found is written beside it, to
    `scores-<set>-<stage>-step<step>.json`, with the settings that it was found with.

    Args:
      config: The resolved config; `evals.name` and `evals.dir` may name another data set than the
        one that the run was trained on.
      workdir: That of the training run.

    Returns:
      Scores by row of the tables.

    Raises:
      UserError: If there is no checkpoint, or the config is not that of the trained network, or a
        score is impossible.
      MissingScores: If some scores could not be computed; the others are written.
    """
    config = pretrained.resolve(config, workdir)
    workdirs.check(config, workdir)
    experiment = Experiment(config, pretrained.recorded(workdir))
    evaluator = Evaluator(experiment)
    evaluator.check_scores(config.evals.final)
    return evaluator.report(newest_state(experiment, workdir), workdir, beside=True)
