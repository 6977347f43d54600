"""Classifier: how often a method's own classifier is right."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ssljax import data
from ssljax.errors import UserError
from ssljax.evals import labels
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.evals.extract import stream
from ssljax.methods.contract import Method, TrainState


class Classifier(Evaluation):
    """Top-1 accuracy "classifier" of a method whose features end in "logits"."""

    name = "classifier"

    def stages(self, run: Run) -> tuple[str, ...]:
        """The logits, whichever stages are probed."""
        return ("logits",)

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if the method has no classifier, or the test set no labels."""
        experiment = run.experiment
        images = jax.ShapeDtypeStruct((run.mesh.size, *experiment.task.image_shape), np.uint8)
        state = experiment.abstract_state
        jax.eval_shape(run.once(_logits, run.method(state)), state, images)
        labels.count(run, _scan(run, state), self.name)
        return (self.name,)

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Counts what is right as the images pass; raw pixels have no classifier."""
        if state is None:
            return Scores()
        logits = functools.partial(run.once(_logits, run.method(state)), state)
        scan, right, known, seen = _scan(run, state), 0, 0, 0
        for part in stream(logits, scan, mesh=run.mesh):
            is_known = part.labels >= 0
            right += count_right(part.outputs["logits"][is_known], part.labels[is_known])
            known, seen = known + int(is_known.sum()), seen + len(is_known)
        labels.tell_left_out(run, scan.source.split, seen - known, known)
        if not known:
            raise ValueError("There are no labelled images to classify.")
        return Scores({self.name: right / known})


def count_right(logits: Float[np.ndarray, "rows classes"], truth: Int[np.ndarray, "rows"]) -> int:
    """Counts the rows whose highest score is that of the true class.

    Args:
      logits: Score of each class.
      truth: The true classes.

    Raises:
      ValueError: If a score is not finite.
    """
    if not np.isfinite(logits).all():
        raise ValueError("Logits are not finite: an accuracy of them would mean nothing.")
    return int(np.sum(np.argmax(logits, axis=1) == truth))


def _scan(run: Run, state: TrainState) -> data.Scan:
    """The images to report on, their classes numbered as those of the classifier."""
    names = run.method(state).class_names
    return run.open(run.config.test_split, names, "the classifier's training set")


def _logits(run: Run, method: Method) -> Callable[[TrainState, Array], dict[str, Array]]:
    @jax.jit
    def logits(state: TrainState, images: Array) -> dict[str, Array]:
        found = method.features(state, images)
        if "logits" not in found:
            raise UserError(
                f"The method {run.experiment.config.method.name} has no classifier of its own: "
                f"{leave_out(Classifier.name)}."
            )
        return {"logits": found["logits"].astype(jnp.float32)}

    return logits
