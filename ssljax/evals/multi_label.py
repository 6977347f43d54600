"""Multi-label: how well a method's own scores rank the images of each class."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8
from ml_collections import ConfigDict

from ssljax import augment
from ssljax.errors import UserError
from ssljax.evals import labels
from ssljax.evals.contract import Evaluation, Rows, Run, Scores, leave_out
from ssljax.evals.extract import extract
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.transfer.multi_label import LOGITS, MultiLabel
from ssljax.metrics.average_precision import Rule, mean_average_precision

_RULES: tuple[Rule, Rule] = ("area", "eleven_points")


class MultiLabelRanking(Evaluation):
    """Mean average precision "map", by area, and "map_11", of eleven points, of fine-tuned classes.

    What is not known of an image, such as of an object that is difficult to see, is left out. The
    row without a network has what equal scores for all images have, the classes' mean share.
    """

    name = "multi_label"
    rows = Rows("chance", "random network", "trained network")

    @staticmethod
    def default_config() -> ConfigDict:
        """The whole image."""
        # Random crops, as of the method's views, whose scores are averaged: 10 in the benchmark of
        # VOC 2007. 0: the whole image, resized to the size of a view.
        return ConfigDict(dict(crops=0))

    def stages(self, run: Run) -> tuple[str, ...]:
        """The classes' scores."""
        return (LOGITS,)

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if the method has no such scores, or a class cannot be scored."""
        method = _method(run.experiment.method, run)
        if run.config.multi_label.crops and method.view.crop_scale is None:
            raise UserError(
                f"config.evals.{self.name}.crops={run.config.multi_label.crops} are crops as of the"
                " method's views, and config.method.view.crop_scale=None has none: set it to 0."
            )
        scan = run.open(run.config.test_split)
        found = labels.scored_truth(run, scan, self.name)
        if found.names != method.label_names:
            raise UserError(
                f"{run.name_of(scan.source.split)} has the classes {', '.join(found.names)}, and "
                f"the network has learnt {', '.join(method.label_names)}: choose another set in "
                "config.evals.name."
            )
        return ("map", "map_11")

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Ranks the images of the test split."""
        scan = run.open(run.config.test_split)
        truth = labels.scored_truth(run, scan, self.name)
        if state is None:
            scores, wanted = np.zeros(truth.labels.shape), truth.labels
        else:
            logits = functools.partial(run.once(_logits, run.method(state)), state)
            found = extract(logits, scan, mesh=run.mesh, count=len(scan), fields=("image", "index"))
            scores, wanted = found.outputs[LOGITS], truth.labels[found.places]
        area, points = (
            mean_average_precision(scores, wanted, rule, truth.names) for rule in _RULES
        )
        return Scores({"map": area, "map_11": points})


def _method(method: Method, run: Run) -> MultiLabel:
    if not isinstance(method, MultiLabel):
        raise UserError(
            f"method.name={run.experiment.config.method.name!r} has no scores of several classes "
            f"an image: {leave_out(MultiLabelRanking.name)}."
        )
    return method


def _logits(run: Run, method: Method) -> Callable[..., dict[str, Array]]:
    crops, view = run.config.multi_label.crops, _method(method, run).view

    def of(state: TrainState, images: Array) -> Any:
        return method.features(state, images)[LOGITS].astype(jnp.float32)

    @jax.jit
    def logits(
        state: TrainState,
        images: UInt8[Array, "batch height width channels"],
        index: Int[Array, "batch"],
    ) -> dict[str, Array]:
        if not crops:
            if images.shape[1:3] != (view.size, view.size):  # Else their borders would be cut off.
                sides = view.size, view.size
                whole = augment.resize(augment.to_float(images), sides, view.interpolation)
                images = augment.to_bytes(whole)
            return {LOGITS: of(state, images)}
        assert view.crop_scale is not None
        total = jnp.zeros(())
        for number in range(crops):
            key = jax.random.fold_in(jax.random.key(run.experiment.config.seed), number)
            keys = jax.vmap(lambda place, key=key: jax.random.fold_in(key, place))(index)
            cut = augment.random_resized_crop(
                keys,
                augment.to_float(images),
                view.size,
                view.crop_scale,
                view.crop_ratio,
                view.interpolation,
            )
            total = total + of(state, augment.to_bytes(cut))
        return {LOGITS: total / crops}

    return logits
