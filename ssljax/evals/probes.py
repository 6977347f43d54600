"""What is measured of a network that sees images: probes of its features, its own classifier."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Array, Int

from ssljax import data, evals, report
from ssljax.errors import UserError
from ssljax.methods.contract import TrainState
from ssljax.run import memory
from ssljax.run.experiment import Experiment

Read = Callable[..., data.Scan]

_log = logging.getLogger(__name__)
_LABELS_AT_ONCE = 1024


class NetworkEvaluator:
    """Scores of the networks of one run.

    Args:
      experiment: The run.
      read: Opens a split of the evaluations' data set, and numbers its classes by names where some
        are given.
    """

    def __init__(self, experiment: Experiment, read: Read) -> None:
        self._experiment = experiment
        self._read = read
        self._config = experiment.config.evals
        self._outputs = jax.jit(self._named, static_argnames="names")
        self._told: set[str] = set()

    def _named(self, state: TrainState, images: Array, names: Sequence[str]) -> dict[str, Array]:
        """What evaluations read: "features" of the config's stage, "logits"; runs under jit."""
        outputs = self._experiment.method.features(state, images)
        stage, found = self._config.stage, {}
        if "features" in names:
            if stage not in outputs:
                raise UserError(
                    f"The network has no stage {stage!r}: set config.evals.stage to one of "
                    f"{', '.join(outputs)}."
                )
            found["features"] = evals.pool(outputs[stage])
        if "logits" in names:
            if "logits" not in outputs:
                raise UserError(
                    f"The method {self._experiment.config.method.name} has no classifier of its "
                    'own: take "classifier" out of config.evals.during and config.evals.final.'
                )
            found["logits"] = outputs["logits"].astype(np.float32)
        return found

    def names(self, which: Sequence[str]) -> tuple[str, ...]:
        """Names of the scores that evaluations give, without their spreads."""
        own = ("classifier",) if "classifier" in which else ()
        return own + evals.score_names(which, self._config.knn, self._config.few_label)

    def check(self, which: Sequence[str]) -> None:
        """Raises a `UserError` now if one of these scores cannot be computed later.

        No image is decoded. Labels are read, of as many images as it takes to know that there are
        enough: of all only where a class is rarer than a few-label probe of whole numbers needs, or
        is absent.

        Args:
          which: Some of "knn", "linear", "few_label" and "classifier".
        """
        images = jax.ShapeDtypeStruct(
            (self._experiment.task.batch_size, *self._experiment.task.image_shape), np.uint8
        )
        probes = [name for name in which if name != "classifier"]
        wanted = (["logits"] if "classifier" in which else []) + (["features"] if probes else [])
        abstract = self._experiment.abstract_state
        shapes = jax.eval_shape(
            functools.partial(self._named, names=tuple(wanted)), abstract, images
        )
        for scan in self._tests(which):
            self._count(scan, lambda counts: counts.sum() > 0)
        if probes:
            self._check_room(shapes["features"].shape[1])
            train = self._read(self._config.train_split)
            self._check_train(probes, self._count(train, self._enough(probes)))

    def _tests(self, which: Sequence[str]) -> dict[data.Scan, list[str]]:
        """The images to report on, and what is read of them.

        Their classes are numbered as those of the images to learn from, or as those of the method's
        own classifier: of the same set there is one pass for both.
        """
        wanted: dict[data.Scan, list[str]] = {}
        if "classifier" in which:
            names, owner = self._experiment.method.class_names, "the classifier's training set"
            wanted.setdefault(self._read(self._config.test_split, names, owner), []).append(
                "logits"
            )
        if set(which) != {"classifier"}:
            train = self._read(self._config.train_split).source
            names, owner = train.class_names, self._name(self._config.train_split)
            scan = self._read(self._config.test_split, names, owner)
            wanted.setdefault(scan, []).append("features")
        return wanted

    def _enough(self, probes: Sequence[str]) -> Callable[[np.ndarray], bool]:
        """Whether so many labels of each class are enough for every probe."""
        neighbors = max(k for k, _ in self._config.knn) if "knn" in probes else 1
        labels = max(self._config.few_label) if "few_label" in probes else 0
        # A class always has enough labels for a share of them.
        of_each = labels if labels >= 1 else 0
        return lambda counts: (
            counts.sum() >= neighbors and counts.max() >= 2 and counts.min() >= of_each
        )

    def _check_train(self, probes: Sequence[str], counts: Int[np.ndarray, "classes"]) -> None:
        """Raises a `UserError` if the labelled images of train are too few for a probe."""
        split, total = self._config.train_split, int(counts.sum())
        if "linear" in probes and counts.max() < 2:
            raise UserError(
                f"The linear probe holds images of a class back, and {self._name(split)} has no "
                'class of two labelled images: take "linear" out of config.evals.during and '
                "config.evals.final."
            )
        most = max(k for k, _ in self._config.knn)
        if "knn" in probes and total < most:
            raise UserError(
                f"config.evals.knn asks for {most} neighbours, and {self._name(split)} has "
                f"{total} labelled images: ask for at most {total}."
            )
        rarest = int(np.argmin(np.where(counts > 0, counts, np.iinfo(counts.dtype).max)))
        labels = max(self._config.few_label, default=0)
        if "few_label" in probes and counts[rarest] < labels:
            name = self._read(split).source.class_names[rarest]
            raise UserError(
                f"config.evals.few_label asks for {labels:g} labels of each class, and the class "
                f"{name!r} of {self._name(split)} has {counts[rarest]}: ask for at most "
                f'{counts[rarest]}, or take "few_label" out of config.evals.during and '
                "config.evals.final."
            )

    def _check_room(self, dim: int) -> None:
        """Raises a `UserError` if the features of both splits are more than this host can hold."""
        splits = {self._config.train_split, self._config.test_split}
        images = sum(len(self._read(split)) for split in splits)
        pixels = int(np.prod(self._experiment.task.image_shape)) if self._config.baselines else 0
        room = memory.of_host()
        for what, size, way in (
            (f"{dim} features", 4 * dim * images, "another config.evals.stage"),
            ("the pixels", pixels * images, "config.evals.baselines=False"),
        ):
            if size > room:
                raise UserError(
                    f"Scoring keeps {what} of each of {images} images in memory, which takes "
                    f"{size / 1e9:.0f} GB, and this host has {room / 1e9:.0f} GB: choose {way}, or "
                    "a part of the images in config.evals.train_split."
                )

    def _count(
        self, scan: data.Scan, enough: Callable[[np.ndarray], bool]
    ) -> Int[np.ndarray, "classes"]:
        """Counts the labelled images of each class, until there are enough."""
        source = scan.source
        if source.num_classes is None:
            raise UserError(
                f"{self._name(source.split)} has no labels, and a probe needs them: name the "
                f"feature in config.data.label_key, or {_OTHER_SET}"
            )
        counts = np.zeros(source.num_classes, np.int64)
        for start in range(0, len(source), _LABELS_AT_ONCE):
            part = np.arange(start, min(start + _LABELS_AT_ONCE, len(source)))
            labels = data.read_labels(
                data.Subset(source, part), self._experiment.config.data.threads or None
            )
            counts += np.bincount(labels[labels >= 0], minlength=len(counts))
            if enough(counts):
                break
        if not counts.any():
            raise UserError(
                f"None of the images of {self._name(source.split)} has a label, and a probe needs "
                f"some: {_OTHER_SET}"
            )
        return counts

    def _name(self, split: str) -> str:
        return f"{self._config.name or self._experiment.config.data.name}/{split}"

    def score(
        self, sheet: report.ScoreSheet, row: str, state: TrainState | None, which: Sequence[str]
    ) -> None:
        """Scores a network; all scores of it share one pass over each split.

        Args:
          sheet: Gets the scores, or the reasons why there are none.
          row: What the network is called there.
          state: Its training state; None for the raw pixels, which have no classifier.
          which: Some of "knn", "linear", "few_label" and "classifier".
        """
        probes = [name for name in which if name != "classifier"]
        if state is None:
            which = probes
        if not which:
            return
        with sheet.attempt(row, which):
            test = {
                name: found
                for scan, names in self._tests(which).items()
                for found in [self._extract(state, scan, names)]
                for name in names
            }
            if "logits" in test:
                with sheet.attempt(row, ["classifier"]):
                    logits = test["logits"].outputs["logits"]
                    score = evals.accuracy(logits, test["logits"].labels)
                    sheet.add(row, {"classifier": score})
            if probes:
                with sheet.attempt(row, probes):
                    scan = self._read(self._config.train_split)
                    train = self._extract(state, scan, ["features"])
                    for probe in probes:
                        with sheet.attempt(row, [probe]):
                            sheet.add(row, self._probe(probe, train, test["features"]))

    def _probe(self, probe: str, train: evals.Extracted, test: evals.Extracted) -> dict[str, float]:
        num_classes = self._read(self._config.train_split).source.num_classes
        assert num_classes is not None
        return evals.score_features(
            train.outputs["features"],
            train.labels,
            test.outputs["features"],
            test.labels,
            num_classes,
            which=(probe,),
            knn=self._config.knn,
            linear_epochs=self._config.linear_epochs,
            few_label=self._config.few_label,
            few_label_seeds=self._config.few_label_seeds,
        )

    def _extract(
        self, state: TrainState | None, scan: data.Scan, names: Sequence[str]
    ) -> evals.Extracted:
        """What is read of the labelled images of a split."""
        split = scan.source.split
        outputs = (
            _pixels
            if state is None
            else functools.partial(self._outputs, state, names=tuple(names))
        )
        found = evals.extract(
            outputs, scan, mesh=self._experiment.mesh, count=len(scan), labelled=True
        )
        if found.left_out and split not in self._told:
            self._told.add(split)
            if jax.process_index() == 0:
                _log.warning(
                    "%d images of %s have no label and are left out of its scores, which are of "
                    "the other %d.",
                    found.left_out,
                    self._name(split),
                    len(found.labels),
                )
        return found


_OTHER_SET = (
    "choose a labelled set in config.evals.name, or set config.evals.during and config.evals.final "
    "to ()."
)


@jax.jit
def _pixels(images: Array) -> dict[str, Array]:
    return {"features": evals.raw_pixels(images)}
