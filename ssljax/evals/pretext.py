"""How well a network answers the questions of its own pretext task."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import data, mesh, methods, report
from ssljax.errors import UserError
from ssljax.evals.contract import Evaluation, Rows, Run, Scores, leave_out
from ssljax.evals.extract import stream
from ssljax.methods.contract import Feed, Method, TrainState
from ssljax.methods.protocols import PretextSolver
from ssljax.run import feeds

_SHOWN = 8
"""Images in a picture, a row each."""


class Pretext(Evaluation):
    """The method's own scores on images or clips of the test split, and a picture of some answers.

    Each image is asked about once. The question depends on the seed of the run, on the place of
    the image in the split and on `config.evals.batch_size`, so that all states of a run are asked
    the same. The pictures are of the first of these questions. The row without a
    network has what a guess has. Questions that have no answer, whose score is NaN, are left out of
    the means. A method that remembers the images it was trained on, and can be
    asked about no others, is asked about those.
    """

    name = "pretext"
    rows = Rows("chance", "random network", "trained network")

    @staticmethod
    def default_config() -> ConfigDict:
        """Which images are asked about."""
        return ConfigDict(dict(split=""))  # Empty: that of `config.evals.test_split`.

    def stages(self, run: Run) -> tuple[str, ...]:
        """None: the whole network answers."""
        return ()

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if the method asks nothing."""
        solver = _solver(run.experiment.method, run)
        source = _opened(run).source
        for field in _fields(run):
            if field not in (*source.fields, "label", "index"):
                raise UserError(
                    f"{source.name}/{source.split} has no field {field!r}, which the questions of "
                    f"method.name={run.experiment.config.method.name!r} are made of: choose another"
                    f" set in evals.name, or {leave_out(Pretext.name)}."
                )
        return tuple(solver.chance())

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the answers of a state."""
        method = run.experiment.method if state is None else run.method(state)
        chance = _solver(method, run).chance()
        if state is None and not any(map(math.isnan, chance.values())):
            return Scores(dict(chance))
        ask = run.once(_guesser if state is None else _asker, method)
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        count = 0
        pictures: dict[str, report.Picture] = {}
        fields = _fields(run)
        parts = stream(
            lambda *given: ask(state, dict(zip(fields, given, strict=True))),
            _opened(run),
            mesh=run.mesh,
            fields=fields,
        )
        for part in parts:
            is_first = not count and run.experiment.task.image_shape[2] in (1, 3)
            if is_first and state is not None:
                pictures = {"pretext": _picture(run, method, state, part.places)}
            count += len(part.places)
            for name, scores in part.outputs.items():
                totals[name] = totals.get(name, 0.0) + float(np.nansum(scores, dtype=np.float64))
                counts[name] = counts.get(name, 0) + int(np.sum(~np.isnan(scores)))
        means = {
            name: total / counts[name] if counts[name] else math.nan
            for name, total in totals.items()
        }
        return Scores(means, pictures)


def _split(run: Run) -> str:
    own: str = run.config.pretext.split
    config = run.experiment.config
    if not getattr(run.experiment.method, "seen_only", False):
        return own or str(run.config.test_split)
    seen: str = config.data.split
    elsewhere = run.config.name not in ("", config.data.name)
    if own not in ("", seen) or elsewhere:
        raise UserError(
            f"method.name={config.method.name!r} can be asked about its training set alone, "
            f"{config.data.name}/{seen}: leave evals.pretext.split empty and evals.name too, or "
            f"{leave_out(Pretext.name)}."
        )
    return seen


def _solver(method: Method, run: Run) -> PretextSolver:
    if not isinstance(method, PretextSolver):
        raise UserError(
            f"method.name={run.experiment.config.method.name!r} has no pretext task that could be "
            f"scored: {leave_out(Pretext.name)}."
        )
    return method


def _feed(run: Run) -> Feed:
    """What the method is fed, of which questions are asked."""
    return next(iter(methods.feeds(run.experiment.config).values()))


def _fields(run: Run) -> tuple[str, ...]:
    """What of a record is asked about: what the method learns from, its class and its place."""
    return tuple(dict.fromkeys((*_feed(run).fields, "label", "index")))


def _opened(run: Run) -> data.Scan:
    return run.once(_clips) if "clip" in _feed(run).fields else run.open(_split(run))


def _clips(run: Run) -> data.Scan:
    """Passes over the clips of the split, as those that the method is trained on."""
    source = feeds.open_source(run.keys(_split(run), _feed(run)))
    return run.experiment.scan(source, run.config.batch_size, may_keep=False)


def _asker(run: Run, method: Method) -> Callable[[Any, dict[str, Array]], dict[str, Array]]:
    """Makes the jitted function that asks about a batch and marks the answers."""
    solver = _solver(method, run)

    @jax.jit
    def ask(state: TrainState, images: dict[str, Array]) -> dict[str, Array]:
        return solver.solve(state, images, _key(run, images["index"]))

    return ask


def _guesser(run: Run, method: Method) -> Callable[[Any, dict[str, Array]], dict[str, Array]]:
    """The same for a guess, which takes no state."""
    solver = _solver(method, run)

    @jax.jit
    def ask(state: None, images: dict[str, Array]) -> dict[str, Array]:
        return solver.guess(images, _key(run, images["index"]))

    return ask


def _key(run: Run, index: Array) -> Array:
    """The key of a batch, by the place of its first image in the split."""
    return jax.random.fold_in(jax.random.key(run.experiment.config.seed), index[0])


def _picture(run: Run, method: Method, state: TrainState, places: np.ndarray) -> report.Picture:
    """Shows the answers about the first images, a row each."""
    first = places[:_SHOWN]
    source = _opened(run).source
    loaded = run.experiment.load(data.Subset(source, first)) | {"index": first}
    images = {field: loaded[field] for field in _fields(run) if field in loaded}
    shown = mesh.to_host(run.once(_shower, method)(state, images))
    count, columns, *shape = shown.shape
    return report.grid(shown.reshape(count * columns, *shape), columns)


def _shower(run: Run, method: Method) -> Callable[[TrainState, dict[str, Any]], Array]:
    solver = _solver(method, run)

    def show(state: TrainState, images: dict[str, Any]) -> Array:
        return solver.show(state, images, _key(run, images["index"]))

    return jax.jit(show, out_shardings=mesh.replicated(run.mesh))
