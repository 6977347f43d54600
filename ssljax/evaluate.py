"""Scores of a run: its encoder beside a random network and the raw pixels."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import data, evals, parent, report
from ssljax.checkpoint import Checkpoints
from ssljax.errors import UserError
from ssljax.experiment import Experiment
from ssljax.methods.contract import TrainState

Scores = dict[str, float]


class Evaluator:
    """Evaluates states of one run; the images are read once, when they are first needed.

    Args:
      experiment: The run.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._features = jax.jit(self._stage_features)
        self._logits = jax.jit(self._class_logits)

    def _stage_features(self, state: TrainState, images: Array) -> Array:
        """Features of the stage that the config names, averaged over places; runs under jit."""
        outputs = self._experiment.method.features(state, images)
        stage = self._experiment.config.evals.stage
        if stage not in outputs:
            raise UserError(
                f"The network has no stage {stage!r}: set config.evals.stage to one of "
                f"{', '.join(outputs)}."
            )
        return evals.pool(outputs[stage])

    def _class_logits(self, state: TrainState, images: Array) -> Array:
        """Class scores of the method's own classifier; runs under jit."""
        outputs = self._experiment.method.features(state, images)
        if "logits" not in outputs:
            raise UserError(
                f"The method {self._experiment.config.method.name} has no classifier of its own: "
                'take "classifier" out of config.evals.during and config.evals.final.'
            )
        return outputs["logits"].astype(np.float32)

    @functools.cached_property
    def _train(self) -> tuple[dict[str, np.ndarray], int]:
        """Images and labels to learn from, and the number of classes."""
        return self._read(self._experiment.config.evals.train_split)

    @functools.cached_property
    def _test(self) -> tuple[dict[str, np.ndarray], int]:
        """Images and labels to report on, and the number of classes."""
        return self._read(self._experiment.config.evals.test_split)

    def _read(self, split: str) -> tuple[dict[str, np.ndarray], int]:
        config = self._experiment.config
        name, directory = config.evals.name or config.data.name, config.evals.dir or config.data.dir
        source = data.open_source(
            name,
            split,
            data_dir=directory or None,
            image_key=config.data.image_key or None,
            label_key=config.data.label_key or None,
        )
        if source.num_classes is None:
            raise UserError(
                f"{name}/{split} has no labels, and a probe needs them: name the feature in "
                "config.data.label_key, choose a labelled set in config.evals.name, or set "
                "config.evals.during and config.evals.final to ()."
            )
        return self._experiment.load(source), source.num_classes

    def check(self) -> None:
        """Raises a `UserError` now if an evaluation of this run will lack its data or labels."""
        config = self._experiment.config.evals
        which = {*config.final, *(config.during if config.every else ())}
        if which:
            _ = self._test
            if which != {"classifier"}:
                _ = self._train
            shape = (self._experiment.task.batch_size, *self._experiment.task.image_shape)
            images = jax.ShapeDtypeStruct(shape, np.uint8)
            jax.eval_shape(self._stage_features, self._experiment.abstract_state, images)
            if "classifier" in which:
                jax.eval_shape(self._class_logits, self._experiment.abstract_state, images)

    def scores(self, state: TrainState, which: Sequence[str]) -> Scores:
        """Scores the network of a state.

        Args:
          state: Training state.
          which: Some of "knn", "linear", "few_label" and "classifier".

        Returns:
          Scores in [0, 1] by name.
        """
        test, _ = self._test

        def extract(outputs: Callable[..., Array], images: np.ndarray) -> np.ndarray:
            return evals.extract(
                functools.partial(outputs, state),
                images,
                mesh=self._experiment.mesh,
                batch_size=self._experiment.config.evals.batch_size,
            )

        scores: Scores = {}
        if "classifier" in which:
            logits = extract(self._logits, test["image"])
            scores["classifier"] = evals.accuracy(logits, test["label"])
        if set(which) != {"classifier"}:
            train_x = extract(self._features, self._train[0]["image"])
            scores |= self._score(train_x, extract(self._features, test["image"]), which)
        return scores

    def _score(self, train_x: np.ndarray, test_x: np.ndarray, which: Sequence[str]) -> Scores:
        config = self._experiment.config.evals
        (train, num_classes), (test, _) = self._train, self._test
        return evals.score_features(
            train_x,
            train["label"],
            test_x,
            test["label"],
            num_classes,
            which=which,
            knn=config.knn,
            linear_epochs=config.linear_epochs,
            few_label=config.few_label,
            few_label_seeds=config.few_label_seeds,
        )

    def report(
        self, state: TrainState, workdir: pathlib.Path, writer: report.MetricWriter | None = None
    ) -> dict[str, Scores]:
        """Scores the trained network and the baselines, prints the table and writes it.

        Args:
          state: The trained state.
          workdir: `scores.json` and `scores.md` are written there.
          writer: Also gets the trained network's scores.

        Returns:
          Scores by network.
        """
        config = self._experiment.config
        which = config.evals.final
        table: dict[str, Scores] = {}
        if config.evals.baselines:
            if set(which) != {"classifier"}:
                (train, _), (test, _) = self._train, self._test
                pixels = evals.raw_pixels(train["image"]), evals.raw_pixels(test["image"])
                table["raw pixels"] = self._score(*pixels, which)
            table["random network"] = self.scores(self._experiment.init(), which)
        step = int(state.step)
        trained = self.scores(state, which)
        table["trained network"] = trained
        if writer is not None:
            writer.write(step, {f"eval/{name}": value for name, value in trained.items()})
        if jax.process_index() == 0:
            result = {
                "step": step,
                "network": self._experiment.method.evaluated,
                "stage": config.evals.stage,
                "data": config.evals.name or config.data.name,
                "scores": table,
            }
            (workdir / "scores.json").write_text(json.dumps(result, indent=2) + "\n")
            (workdir / "scores.md").write_text(report.score_table(table) + "\n")
            print(report.score_table(table))
        return table


def evaluate_checkpoint(config: ConfigDict, workdir: pathlib.Path) -> dict[str, Scores]:
    """Scores the newest checkpoint of a workdir.

    Args:
      config: The resolved config; `evals.name` and `evals.dir` may name another data set than the
        one that the run was trained on.
      workdir: That of the training run.

    Returns:
      Scores by network.

    Raises:
      UserError: if there is no checkpoint, or it is of another model.
    """
    experiment = Experiment(parent.resolve(config, workdir))
    checkpoints = Checkpoints(workdir / "checkpoints")
    state = checkpoints.restore(experiment.abstract_state)
    checkpoints.close()
    if state is None:
        raise UserError(f"There is no checkpoint in {workdir}: train first, with --mode=train.")
    return Evaluator(experiment).report(state, workdir)
