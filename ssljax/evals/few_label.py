"""Few labels: what features are worth when only some labels of each class are known."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from ssljax import data
from ssljax.errors import UserError
from ssljax.evals import features, labels
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.methods.contract import TrainState
from ssljax.metrics.few_label import few_label_probe

_KEY = "config.evals.few_label.labels"


class FewLabel(Evaluation):
    """Accuracies "labels_<n>" (a class) or "labels_<n>pct": see `ssljax.metrics.few_label_probe`.

    Beside each stands its spread over the draws, "labels_<n>_std".
    """

    name = "few_label"

    @staticmethod
    def default_config() -> ConfigDict:
        """Labels a class, below 1 a fraction of the labels; and the draws of each."""
        return ConfigDict(dict(labels=(1.0, 5.0, 10.0), seeds=5))

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if a class has fewer labelled images than are drawn."""
        features.check(run, self.name)
        asked = run.config.few_label.labels
        # A share of a class is never too much.
        most = max(asked) if max(asked) >= 1 else 0
        train = features.train_scan(run)
        counts = labels.count(run, train, self.name, lambda n: n.any() and n.min() >= most)
        rarest = int(np.argmin(np.where(counts > 0, counts, np.iinfo(counts.dtype).max)))
        if counts[rarest] < most:
            raise UserError(
                f"{_KEY} asks for {most:g} labels of each class, and the class "
                f"{train.source.class_names[rarest]!r} of {run.name_of(train.source.split)} has "
                f"{counts[rarest]}: ask for at most {counts[rarest]}, or {leave_out(self.name)}."
            )
        return features.names(run, tuple(map(_name, asked)))

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the features of every stage, on the same draws."""
        return features.scored(run, state, lambda sets: self._probe(run, sets))

    def _probe(self, run: Run, sets: features.Sets) -> dict[str, float]:
        config = run.config.few_label
        scores: dict[str, float] = {}
        for per_class in config.labels:
            draws = [
                data.labelled_rows(sets.train_y, sets.num_classes, per_class, seed, _KEY)
                for seed in range(config.seeds)
            ]
            result, name = few_label_probe(*sets, draws), _name(per_class)
            scores |= {name: result.mean, f"{name}_std": result.std}
        return scores


def _name(labels: float) -> str:
    return f"labels_{labels:g}" if labels >= 1 else f"labels_{100 * labels:g}pct"
