"""A map of the images of the test split by their embeddings, and which classes are confused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Int
from ml_collections import ConfigDict

from ssljax import report
from ssljax.evals import features, gallery, labels
from ssljax.evals.contract import NETWORK, Evaluation, Run, Scores
from ssljax.evals.extract import extract
from ssljax.evals.features import Sets
from ssljax.methods.contract import TrainState
from ssljax.metrics.knn import knn_predict

_NAME = "embedding_map"
_MOST_CLASSES = 200
_DIGITS = 4


class EmbeddingMap(Evaluation):
    """A map of embeddings, for people to look at and for the page of the run.

    It is of the last of `config.evals.stages`. The picture "embedding_map" shows images where the
    map has them, framed in the colour of their class. The note of the same name has the places, the
    classes and, where both splits have labels, the confusions of a kNN with the first of
    `config.evals.knn.neighbors`: how many test images of each class are taken for each.
    """

    name = _NAME
    rows = NETWORK._replace(without="", untrained="")

    @staticmethod
    def default_config() -> ConfigDict:
        """How many test images are shown, drawn by the run's seed, and how: "tsne" or "pca"."""
        return ConfigDict(dict(count=1000, projection="tsne"))

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if there is no such stage, or no test split."""
        if _has_labels(run):
            features.check(run, self.name)
        else:
            features.dims(run, run.experiment.abstract_state)
        return ()

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Draws the map of a state."""
        assert state is not None
        experiment, stage = run.experiment, run.config.stages[-1]
        source = features.test_scan(run).source
        scan = gallery.drawn(run, source, run.config.embedding_map.count)
        found = extract(features.outputs(run, state), scan, mesh=run.mesh, count=len(scan))
        embeddings = found.outputs[stage]
        if not np.isfinite(embeddings).all():
            raise ValueError("Features are not finite: a map of them would mean nothing.")
        confusion = _confusion(run, state) if _has_labels(run) else None
        if jax.process_index():
            return Scores()
        projection = run.config.embedding_map.projection
        points = report.plane(embeddings, projection, experiment.config.seed)
        note = {
            "step": int(state.step),
            "stage": stage,
            "data": run.dataset,
            "split": source.split,
            "method": projection,
            "points": np.round(points.astype(np.float64), _DIGITS).tolist(),
            "labels": found.labels.tolist(),
            "classes": _names(source, found.labels),
            "confusion": confusion,
        }
        pictures = {}
        if experiment.task.image_shape[2] in (1, 3):
            images = gallery.read(run, source, found.places)
            pictures[_NAME] = report.map_picture(points, images, found.labels)
        return Scores(pictures=pictures, notes={_NAME: note})


def _has_labels(run: Run) -> bool:
    """Whether images can be learnt from and reported on by their class."""
    return all(
        labels.has_some(run, scan(run)) for scan in (features.train_scan, features.test_scan)
    )


def _names(source: Any, known: Int[np.ndarray, " images"]) -> list[str]:
    count = max(source.num_classes or 0, int(known.max(initial=-1)) + 1)
    return list(source.class_names) or [str(number) for number in range(count)]


def _confusion(run: Run, state: TrainState) -> dict[str, Any] | None:
    """How the last stage's nearest neighbours take classes for each other."""
    neighbors, temperature = run.config.knn.neighbors[0]
    matrices: list[Any] = []

    def confuse(sets: Sets) -> Mapping[str, float]:
        predicted = knn_predict(
            sets.train_x, sets.train_y, sets.test_x, sets.num_classes, neighbors, temperature
        )
        matrix = np.zeros((sets.num_classes, sets.num_classes), np.int64)
        np.add.at(matrix, (sets.test_y, predicted), 1)
        matrices.append(matrix.tolist() if sets.num_classes <= _MOST_CLASSES else None)
        return {}

    features.scored(run, state, confuse)
    if matrices[-1] is None:
        return None
    probe = f"a kNN of k {neighbors} and τ {temperature:g} on {run.config.stages[-1]}"
    return {"probe": probe, "matrix": matrices[-1]}
