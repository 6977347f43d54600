"""Scores of a run: its encoder and its generator, each beside what they must be better than."""

from __future__ import annotations

import contextlib
import functools
import json
import pathlib
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import config as configs
from ssljax import data, evals, parent, report
from ssljax import workdir as workdirs
from ssljax.checkpoint import Checkpoints
from ssljax.errors import UserError
from ssljax.experiment import Experiment
from ssljax.generators import GeneratorEvaluator, Labelled
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
        self._read = functools.cache(self._open)
        self._generator: GeneratorEvaluator | None = None
        if experiment.method.generates:
            self._generator = GeneratorEvaluator(experiment, self._read)

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

    @property
    def _train(self) -> tuple[dict[str, np.ndarray], int]:
        """Images and labels to learn from, and the number of classes."""
        return self._labelled(self._experiment.config.evals.train_split)

    @property
    def _test(self) -> tuple[dict[str, np.ndarray], int]:
        """Images and labels to report on, and the number of classes."""
        return self._labelled(self._experiment.config.evals.test_split)

    def _labelled(self, split: str) -> tuple[dict[str, np.ndarray], int]:
        arrays, num_classes = self._read(split)
        if num_classes is None:
            config = self._experiment.config
            raise UserError(
                f"{config.evals.name or config.data.name}/{split} has no labels, and a probe needs "
                "them: name the feature in config.data.label_key, choose a labelled set in "
                "config.evals.name, or set config.evals.during and config.evals.final to ()."
            )
        return arrays, num_classes

    def _open(self, split: str) -> Labelled:
        """Reads a split: images, labels if there are any, and the number of classes or None."""
        config = self._experiment.config
        source = data.open_source(
            config.evals.name or config.data.name,
            split,
            data_dir=config.evals.dir or config.data.dir or None,
            image_key=config.data.image_key or None,
            label_key=config.data.label_key or None,
        )
        return self._experiment.load(source), source.num_classes

    def check(self) -> None:
        """Raises a `UserError` now if an evaluation of this run will lack its data or labels."""
        config = self._experiment.config.evals
        probes, drawn = _sort([*config.final, *(config.during if config.every else ())])
        if drawn:
            self._of_generator(drawn).check(drawn)
        if probes:
            _ = self._test
            if set(probes) != {"classifier"}:
                _ = self._train
            shape = (self._experiment.task.batch_size, *self._experiment.task.image_shape)
            images = jax.ShapeDtypeStruct(shape, np.uint8)
            jax.eval_shape(self._stage_features, self._experiment.abstract_state, images)
            if "classifier" in probes:
                jax.eval_shape(self._class_logits, self._experiment.abstract_state, images)

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
            writer.write_pictures(int(state.step), self._generator.pictures(state))

    def scores(self, state: TrainState, which: Sequence[str]) -> Scores:
        """Scores the network of a state.

        Args:
          state: Training state.
          which: Some of "knn", "linear", "few_label" and "classifier"; of a method that generates,
            also "fid", "kid", "inception_score" and "precision_recall".

        Returns:
          Scores in [0, 1] by name, and figures of generated images by their full names.
        """
        probes, drawn = _sort(which)
        scores = self._of_network(state, probes) if probes else {}
        return scores | (self._of_generator(drawn).scores(state, drawn) if drawn else {})

    def _of_network(self, state: TrainState, which: Sequence[str]) -> Scores:
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
        """Scores what is trained and the baselines, prints the tables and writes them.

        Args:
          state: The trained state.
          workdir: `scores.json` and `scores.md` are written there.
          writer: Also gets the trained network's and generator's scores.

        Returns:
          Scores by network or generator.
        """
        config = self._experiment.config
        probes, drawn = _sort(config.evals.final)
        untrained = self._experiment.init() if config.evals.baselines else None
        networks: dict[str, Scores] = {}
        generators: dict[str, Scores] = {}
        if probes:
            if untrained is not None:
                if set(probes) != {"classifier"}:
                    (train, _), (test, _) = self._train, self._test
                    pixels = evals.raw_pixels(train["image"]), evals.raw_pixels(test["image"])
                    networks["raw pixels"] = self._score(*pixels, probes)
                networks["random network"] = self._of_network(untrained, probes)
            networks["trained network"] = self._of_network(state, probes)
        if drawn:
            generator = self._of_generator(drawn)
            if untrained is not None:
                generators["held-out reals"] = generator.floor(drawn)
                generators["random generator"] = generator.scores(untrained, drawn)
            generators["trained generator"] = generator.scores(state, drawn)
        step = int(state.step)
        if writer is not None:
            trained = networks.get("trained network", {}) | generators.get("trained generator", {})
            writer.write(step, {f"eval/{name}": value for name, value in trained.items()})
        table = networks | generators
        if jax.process_index() == 0:
            result = {
                "step": step,
                "network": self._experiment.method.evaluated,
                # A method's own classifier ends in logits, whichever stage the probes read.
                "stage": "logits" if set(probes) == {"classifier"} else config.evals.stage,
                "data": config.evals.name or config.data.name,
                "scores": table,
            }
            (workdir / "scores.json").write_text(json.dumps(result, indent=2) + "\n")
            caption = (
                f"Read: {result['network']}, stage {result['stage']}, at step {step}. "
                f"Scored on {result['data']}, in per cent."
            )
            tables = [caption, report.score_table(networks)] if networks else []
            tables += [report.figure_table(generators)] if generators else []
            (workdir / "scores.md").write_text("\n\n".join(tables) + "\n")
            print(*tables, sep="\n\n")
        return table


def _sort(which: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of scores of the network, and of the generator."""
    names = list(dict.fromkeys(which))
    drawn = [name for name in names if name in configs.GENERATOR_EVALS]
    return [name for name in names if name not in drawn], drawn


def newest_state(experiment: Experiment, workdir: pathlib.Path) -> TrainState:
    """Reads the newest checkpoint of a workdir.

    Args:
      experiment: The run that wrote it.
      workdir: That of the run.

    Raises:
      UserError: if there is no checkpoint, or it is of another model.
    """
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    with contextlib.closing(checkpoints):
        state: TrainState | None = checkpoints.restore(experiment.abstract_state)
    if state is None:
        raise UserError(f"There is no checkpoint in {workdir}: train first, with --mode=train.")
    return state


def evaluate_checkpoint(config: ConfigDict, workdir: pathlib.Path) -> dict[str, Scores]:
    """Scores the newest checkpoint of a workdir.

    Args:
      config: The resolved config; `evals.name` and `evals.dir` may name another data set than the
        one that the run was trained on.
      workdir: That of the training run.

    Returns:
      Scores by network.

    Raises:
      UserError: if there is no checkpoint, or the config is not that of the trained network.
    """
    config = parent.resolve(config, workdir)
    workdirs.check(config, workdir)
    experiment = Experiment(config)
    return Evaluator(experiment).report(newest_state(experiment, workdir), workdir)
