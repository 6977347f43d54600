"""kNN: how the nearest training images vote on the class of a test image."""

from __future__ import annotations

from ml_collections import ConfigDict

from ssljax.errors import UserError
from ssljax.evals import features, labels
from ssljax.evals.contract import Evaluation, Run, Scores
from ssljax.methods.contract import TrainState
from ssljax.metrics.knn import knn_accuracies, knn_names


class Knn(Evaluation):
    """Accuracies "knn<k>" of a weighted vote: see `ssljax.metrics.knn_accuracies`."""

    name = "knn"

    @staticmethod
    def default_config() -> ConfigDict:
        """Pairs of (k, temperature)."""
        return ConfigDict(dict(neighbors=((20, 0.07), (200, 0.1))))

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if there are fewer labelled images than neighbours."""
        features.check(run, self.name)
        neighbors = run.config.knn.neighbors
        most = max(k for k, _ in neighbors)
        train = features.train_scan(run)
        total = int(labels.count(run, train, self.name, lambda n: n.sum() >= most).sum())
        if total < most:
            raise UserError(
                f"config.evals.knn.neighbors asks for {most} neighbours, and "
                f"{run.name_of(train.source.split)} has {total} labelled images: ask for at most "
                f"{total}."
            )
        return features.names(run, knn_names(neighbors))

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the features of every stage, on all devices."""
        neighbors = tuple(run.config.knn.neighbors)
        return features.scored(
            run, state, lambda sets: knn_accuracies(*sets, settings=neighbors, mesh=run.mesh)
        )
