"""Scores of a run: of its encoder and its generator, each with its baselines."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
from collections.abc import Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from ssljax import config as configs
from ssljax import data, paths, report
from ssljax.errors import MissingScores, UserError
from ssljax.evals.generators import GeneratorEvaluator
from ssljax.evals.probes import NetworkEvaluator
from ssljax.methods.contract import TrainState
from ssljax.methods.protocols import Generator
from ssljax.report import ScoreSheet, free_path, own_path
from ssljax.run import hosts, pretrained
from ssljax.run import workdir as workdirs
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.experiment import Experiment

Scores = dict[str, float]

_log = logging.getLogger(__name__)


class Evaluator:
    """Evaluates states of one run.

    Images stream from their source through the networks whenever they are needed; only features
    stay.

    Args:
      experiment: The run.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._read = functools.cache(self._open)
        self._network = NetworkEvaluator(experiment, self._read)
        self._generator: GeneratorEvaluator | None = None
        if isinstance(experiment.method, Generator):
            self._generator = GeneratorEvaluator(experiment, self._read)

    def _open(self, split: str, names: tuple[str, ...] = (), owner: str = "") -> data.Scan:
        """Opens a split of the evaluations' data set.

        Args:
          split: Which.
          names: Of classes whose numbers its labels shall have; its own if there are none.
          owner: Whose classes they are.
        """
        if names:
            plain = self._read(split)
            source = data.with_classes(plain.source, names, owner)
            if source is plain.source:
                return plain
            return self._experiment.scan(source, self._experiment.config.evals.batch_size)
        config = self._experiment.config
        source = data.open_source(
            config.evals.name or config.data.name,
            split,
            data_dir=config.evals.dir or config.data.dir or None,
            image_key=config.data.image_key or None,
            label_key=config.data.label_key or None,
        )
        return self._experiment.scan(source, config.evals.batch_size)

    def check(self) -> None:
        """Raises a `UserError` now if an evaluation of a training run will not be possible.

        Sources are opened, and labels may be read, but no images.
        """
        config = self._experiment.config
        self.check_scores(
            [*config.evals.final, *(config.evals.during if config.evals.every else ())]
        )
        if config.checkpoint.best:
            self._check_best(config.checkpoint.best)

    def check_scores(self, which: Sequence[str]) -> None:
        """Raises a `UserError` if one of these scores cannot be computed later."""
        probes, drawn = _sort(which)
        if drawn:
            self._of_generator(drawn).check(drawn)
        if probes:
            self._network.check(probes)

    def _check_best(self, best: str) -> None:
        """Raises a `UserError` unless the best checkpoint's score is known when one is saved."""
        config = self._experiment.config
        told = f"config.checkpoint.best={best!r} keeps the best checkpoint that is scored as it is "
        if not config.evals.every:
            raise UserError(
                told + "saved, and nothing is evaluated before the end: set config.evals.every to "
                "a multiple of config.checkpoint.every."
            )
        probes, drawn = _sort(config.evals.during)
        names = self._network.names(probes)
        names += self._of_generator(drawn).names(drawn) if drawn else ()
        if best not in names:
            raise UserError(
                f"config.checkpoint.best={best!r} is not a score that config.evals.during computes "
                f"and for which higher is better: there are {', '.join(names) or 'none'}."
            )
        rhythm = math.lcm(config.evals.every, config.checkpoint.every)
        if rhythm >= self._experiment.task.total_steps:
            raise UserError(
                told + f"saved, but evaluations every {config.evals.every} steps and checkpoints "
                f"every {config.checkpoint.every} do not meet before the last of "
                f"{self._experiment.task.total_steps} steps: set config.evals.every to a multiple "
                "of config.checkpoint.every, below that."
            )

    def _of_generator(self, which: Sequence[str]) -> GeneratorEvaluator:
        if self._generator is None:
            raise UserError(
                f"The method {self._experiment.config.method.name} generates no images that could "
                f"be scored: take {', '.join(map(repr, which))} out of config.evals.during and "
                "config.evals.final."
            )
        return self._generator

    def draw(self, state: TrainState, writer: report.MetricWriter) -> None:
        """Writes pictures of what the method generates, if it does.

        Args:
          state: Training state.
          writer: Gets the pictures under the state's step.
        """
        if self._generator is not None:
            with self._sheet(state, ()).attempt("trained generator", ["pictures"]):
                writer.write_pictures(int(state.step), self._generator.pictures(state))

    def scores(self, state: TrainState, which: Sequence[str]) -> Scores:
        """Scores the network of a state.

        Args:
          state: Training state.
          which: Some of "knn", "linear", "few_label" and "classifier"; of a method that generates,
            also "fid", "kid", "inception_score" and "precision_recall".

        Returns:
          Scores in [0, 1] by name, and figures of generated images by their full names. One that
          fails is reported in the log and absent.
        """
        sheet = self._sheet(state, which)
        self._fill(sheet, state, which, baselines=False)
        return _trained(sheet)

    def report(
        self,
        state: TrainState,
        workdir: paths.Path,
        writer: report.MetricWriter | None = None,
        beside: bool = False,
    ) -> dict[str, Scores]:
        """Scores what is trained and the baselines, writes the tables and prints them.

        Args:
          state: The trained state.
          workdir: `scores.json` and `scores.md` are written there, score by score; scores of other
            settings at the same step are left, and the new ones named as with `beside`.
          writer: Also gets the trained network's and generator's scores, once.
          beside: Whether the files are not the run's own: they are then named by the set, the
            stage and the step, as `ssljax.report.free_path` says.

        Returns:
          Scores by network or generator.

        Raises:
          MissingScores: If some could not be computed; the others are written.
        """
        config = self._experiment.config
        about = self._about(state, config.evals.final)
        path = free_path(workdir, about) if beside else own_path(workdir, about)
        sheet = ScoreSheet(about, path)
        hosts.on_first(sheet.write, path)  # Reports what cannot be written before computing it.
        self._fill(sheet, state, config.evals.final, baselines=config.evals.baselines)
        if writer is not None and not sheet.was_complete:
            trained = {f"eval/{name}": value for name, value in _trained(sheet).items()}
            writer.write(int(state.step), trained)
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
        self, sheet: ScoreSheet, state: TrainState, which: Sequence[str], baselines: bool
    ) -> None:
        """Scores a state, after its baselines."""
        probes, drawn = _sort(which)
        untrained = self._experiment.init() if baselines else None
        if probes:
            if untrained is not None:
                self._network.score(sheet, "raw pixels", None, probes)
                self._network.score(sheet, "random network", untrained, probes)
            self._network.score(sheet, "trained network", state, probes)
        if drawn:
            generator = self._of_generator(drawn)
            if untrained is not None:
                generator.score(sheet, "held-out reals", None, drawn)
                generator.score(sheet, "random generator", untrained, drawn)
            generator.score(sheet, "trained generator", state, drawn)

    def _sheet(self, state: TrainState, which: Sequence[str]) -> ScoreSheet:
        return ScoreSheet(self._about(state, which))

    def _about(self, state: TrainState, which: Sequence[str]) -> dict[str, Any]:
        """What scores are of, and the settings that they were made with."""
        config = self._experiment.config
        keys = {
            key: value
            for key, value in configs.flatten(config).items()
            if key == "seed" or (key.startswith(("data.", "evals.")) and key not in _NO_SETTINGS)
        }
        return {
            "step": int(state.step),
            "network": self._experiment.method.evaluated,
            # A method's own classifier ends in logits, whichever stage the probes read.
            "stage": "logits" if set(_sort(which)[0]) == {"classifier"} else config.evals.stage,
            "data": config.evals.name or config.data.name,
            "settings": keys,
        }


_NO_SETTINGS = ("data.cache", "data.threads", "data.prefetch", "evals.every", "evals.during")
"""Keys on which no score of a checkpoint depends."""


def _trained(sheet: ScoreSheet) -> Scores:
    return sheet.scores.get("trained network", {}) | sheet.scores.get("trained generator", {})


def _sort(which: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of scores of the network, and of the generator."""
    names = list(dict.fromkeys(which))
    drawn = [name for name in names if name in configs.GENERATOR_EVALS]
    return [name for name in names if name not in drawn], drawn


def newest_state(experiment: Experiment, workdir: paths.Path) -> TrainState:
    """Reads the newest checkpoint of a workdir.

    Args:
      experiment: The run that wrote it.
      workdir: That of the run.

    Raises:
      UserError: If there is no checkpoint, or it is of another model.
    """
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    with contextlib.closing(checkpoints):
        state: TrainState | None = checkpoints.restore(experiment.abstract_state)
    if state is None:
        raise UserError(f"There is no checkpoint in {workdir}: train first, with --mode=train.")
    return state


def evaluate_checkpoint(config: ConfigDict, workdir: paths.Path) -> dict[str, Scores]:
    """Scores the newest checkpoint of a workdir.

    The run's own `scores.json` stays as it is. What is found is written beside it, to
    `scores-<set>-<stage>-step<step>.json`, with the settings that it was found with.

    Args:
      config: The resolved config; `evals.name` and `evals.dir` may name another data set than the
        one that the run was trained on.
      workdir: That of the training run.

    Returns:
      Scores by network.

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
