"""Features of the images to learn from and to report on, which all probes of a state share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int, Real

from ssljax import data
from ssljax.errors import UserError
from ssljax.evals import labels
from ssljax.evals.contract import Run, Scores
from ssljax.evals.extract import Extracted, Outputs, extract, pool, raw_pixels
from ssljax.methods.contract import Method, TrainState
from ssljax.run import memory

_PIXELS = "features"
"""What `raw_pixels` calls them."""


class Sets(NamedTuple):
    """Features of one stage.

    Attributes:
      train_x: Of the images to learn from.
      train_y: Their classes.
      test_x: Of the images to report on.
      test_y: Their classes.
      num_classes: How many there are.
    """

    train_x: Real[np.ndarray, "train dim"]
    train_y: Int[np.ndarray, "train"]
    test_x: Real[np.ndarray, "test dim"]
    test_y: Int[np.ndarray, "test"]
    num_classes: int


def check(run: Run, evaluation: str, keeps: bool = True) -> None:
    """Raises a `UserError` now if the features, or the labels of the test set, cannot be had later.

    Args:
      run: The run.
      evaluation: Name of the evaluation that needs them, for the message.
      keeps: Whether they stay in memory.
    """
    experiment = run.experiment
    images = jax.ShapeDtypeStruct((run.mesh.size, *experiment.task.image_shape), np.uint8)
    state = experiment.abstract_state
    shapes = jax.eval_shape(run.once(_stages, run.method(state)), state, images)
    if keeps:
        _check_room(run, sum(shape.shape[1] for shape in shapes.values()))
    labels.count(run, test_scan(run), evaluation)


def _check_room(run: Run, dim: int) -> None:
    """Raises a `UserError` if the features of both splits are more than this host can hold."""
    images = sum(len(run.open(split)) for split in {run.config.train_split, run.config.test_split})
    shape = (1, *run.experiment.task.image_shape)
    pixels = jax.eval_shape(raw_pixels, jax.ShapeDtypeStruct(shape, np.uint8))[_PIXELS].shape[1]
    each = max(4 * dim, pixels if run.config.baselines else 0)
    size, room = each * images, memory.of_host()
    if size > room:
        raise UserError(
            f"Probes keep {each} bytes of features of each of {images} images in memory, which "
            f"takes {size / 1e9:.2g} GB, and this host has {room / 1e9:.2g} GB: choose other "
            "config.evals.stages, or a part of the images in config.evals.train_split, or the "
            "linear probe alone with config.evals.linear.stream=True."
        )


def train_scan(run: Run) -> data.Scan:
    """The images to learn from."""
    return run.open(run.config.train_split)


def test_scan(run: Run) -> data.Scan:
    """The images to report on, whose classes are numbered as those of the images to learn from."""
    names = train_scan(run).source.class_names
    return run.open(run.config.test_split, names, run.name_of(run.config.train_split))


def outputs(run: Run, state: TrainState | None) -> Outputs:
    """What is read of images, by stage.

    Args:
      run: The run.
      state: The training state; None for the raw pixels, which have one stage of any name.
    """
    if state is None:
        return raw_pixels
    return functools.partial(run.once(_stages, run.method(state)), state)


def _stages(run: Run, method: Method) -> Callable[[TrainState, Array], dict[str, Array]]:
    """Makes a jitted function that gives the features of every stage of the config."""

    @jax.jit
    def stages(state: TrainState, images: Array) -> dict[str, Array]:
        found = method.features(state, images)
        for stage in run.config.stages:
            if stage not in found:
                raise UserError(
                    f"The network has no stage {stage!r}: set config.evals.stages to some of "
                    f"{', '.join(found)}."
                )
        values, how = run.config.pool_values, run.config.pool
        return {stage: pool(found[stage], values, how) for stage in run.config.stages}

    return stages


def labelled(run: Run, outputs: Outputs, scan: data.Scan) -> Extracted:
    """Passes the images of a split through a network, and keeps what is had of the labelled."""
    found = extract(outputs, scan, mesh=run.mesh, count=len(scan), labelled=True)
    labels.tell_left_out(run, scan.source.split, found.left_out, len(found.labels))
    return found


def scored(
    run: Run, state: TrainState | None, probe: Callable[[Sets], Mapping[str, float]]
) -> Scores:
    """Probes the features of every stage; all probes of a state share one pass over the images.

    Args:
      run: The run.
      state: The training state; None for the raw pixels.
      probe: Gives scores by name.

    Returns:
      The scores, as `by_stage` names them.

    Raises:
      ValueError: If a feature is not finite.
    """
    found = {}
    for stage, sets in run.shared(_sets, state).items():
        for rows in (sets.train_x, sets.test_x):
            # The extremes of what holds a NaN are NaN, and no array as large as these is made.
            if not np.isfinite([rows.min(), rows.max()]).all():
                raise ValueError("Features are not finite: a score of them would mean nothing.")
        found[stage] = probe(sets)
    return Scores(by_stage(run, found))


def by_stage(run: Run, found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Names scores by stage where there is more than one, such as "stage3/knn20".

    Args:
      run: The run.
      found: Scores by stage; those of the raw pixels stand beside every stage.
    """
    stages = run.config.stages
    return {
        f"{stage}/{name}" if len(stages) > 1 else name: value
        for stage in stages
        for name, value in found[stage if stage in found else _PIXELS].items()
    }


def names(run: Run, plain: tuple[str, ...]) -> tuple[str, ...]:
    """The names that `by_stage` gives to scores."""
    return tuple(by_stage(run, dict.fromkeys(run.config.stages, dict.fromkeys(plain, 0.0))))


def _sets(run: Run, state: TrainState | None) -> dict[str, Sets]:
    read = outputs(run, state)
    test, train = (labelled(run, read, scan) for scan in (test_scan(run), train_scan(run)))
    num_classes = train_scan(run).source.num_classes
    assert num_classes is not None
    return {
        stage: Sets(rows, train.labels, test.outputs[stage], test.labels, num_classes)
        for stage, rows in train.outputs.items()
    }
