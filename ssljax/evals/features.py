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


class Layers(NamedTuple):
    """What of a network is probed.

    Attributes:
      stages: Names of layers.
      pool_values: How many values of a map are kept at most; 0: one place.
      key: What the stages are set by, for messages.
    """

    stages: tuple[str, ...]
    pool_values: int
    key: str = "config.evals.stages"


def shared_layers(run: Run) -> Layers:
    """What is probed where a probe has no keys of its own for that."""
    return Layers(tuple(run.config.stages), run.config.pool_values)


def own_layers(run: Run, evaluation: str) -> Layers:
    """What a probe with keys of its own for that reads; the shared stages where it names none."""
    own = run.config[evaluation]
    if own.stages:
        return Layers(tuple(own.stages), own.pool_values, f"config.evals.{evaluation}.stages")
    return Layers(tuple(run.config.stages), own.pool_values)


def check(run: Run, evaluation: str, keeps: bool = True, layers: Layers | None = None) -> None:
    """Raises a `UserError` now if the features, or the labels of the test set, cannot be had later.

    Args:
      run: The run.
      evaluation: Name of the evaluation that needs them, for the message.
      keeps: Whether they stay in memory.
      layers: What is probed; `shared_layers` by default.
    """
    sizes = dims(run, run.experiment.abstract_state, layers)
    if keeps:
        pixels = dims(run, None)[_PIXELS]
        check_room(
            run,
            max(4 * sum(sizes.values()), pixels if run.config.baselines else 0),
            "choose other config.evals.stages, or a part of the images in config.evals.train_split,"
            " or the linear probe alone with config.evals.linear.stream=True",
        )
    labels.count(run, test_scan(run), evaluation)


def check_room(run: Run, each: int, instead: str) -> None:
    """Raises a `UserError` if the features of both splits are more than this host can hold.

    Args:
      run: The run.
      each: Bytes of the features of an image.
      instead: What to do then.
    """
    images = sum(len(run.open(split)) for split in {run.config.train_split, run.config.test_split})
    size, room = each * images, memory.of_host()
    if size > room:
        raise UserError(
            f"Probes keep {each} bytes of features of each of {images} images in memory, which "
            f"takes {size / 1e9:.2g} GB, and this host has {room / 1e9:.2g} GB: "
            f"{instead}."
        )


def train_scan(run: Run) -> data.Scan:
    """The images to learn from."""
    return run.open(run.config.train_split)


def test_scan(run: Run) -> data.Scan:
    """The images to report on, whose classes are numbered as those of the images to learn from."""
    names = train_scan(run).source.class_names
    return run.open(run.config.test_split, names, run.name_of(run.config.train_split))


def outputs(run: Run, state: TrainState | None, layers: Layers | None = None) -> Outputs:
    """What is read of images, by stage.

    Args:
      run: The run.
      state: The training state; None for the raw pixels, which have one stage of any name.
      layers: What is probed; `shared_layers` by default.
    """
    if state is None:
        return raw_pixels
    layers = layers or shared_layers(run)
    return functools.partial(run.origin.once(_stages, run.method(state), layers), state)


def dims(run: Run, state: TrainState | None, layers: Layers | None = None) -> dict[str, int]:
    """How many values are read of an image, by stage; the arguments are those of `outputs`."""
    images = jax.ShapeDtypeStruct((run.mesh.size, *run.experiment.task.image_shape), np.uint8)
    if state is None:
        shapes = jax.eval_shape(raw_pixels, images)
    else:
        made = run.origin.once(_stages, run.method(state), layers or shared_layers(run))
        shapes = jax.eval_shape(made, state, images)
    return {stage: shape.shape[1] for stage, shape in shapes.items()}


def _stages(
    run: Run, method: Method, layers: Layers
) -> Callable[[TrainState, Array], dict[str, Array]]:
    """Makes a jitted function that gives the features of every stage of the config."""

    @jax.jit
    def stages(state: TrainState, images: Array) -> dict[str, Array]:
        found = method.features(state, images)
        for stage in layers.stages:
            if stage not in found:
                raise UserError(
                    f"The network has no stage {stage!r}: set {layers.key} to some of "
                    f"{', '.join(found)}."
                )
        values, how = layers.pool_values, run.config.pool
        return {stage: pool(found[stage], values, how) for stage in layers.stages}

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


def by_stage(
    run: Run, found: Mapping[str, Mapping[str, float]], layers: Layers | None = None
) -> dict[str, float]:
    """Names scores by stage where there is more than one, such as "stage3/knn20".

    Args:
      run: The run.
      found: Scores by stage; those of the raw pixels stand beside every stage.
      layers: What is probed; `shared_layers` by default.
    """
    stages = (layers or shared_layers(run)).stages
    return {
        f"{stage}/{name}" if len(stages) > 1 else name: value
        for stage in stages
        for name, value in found[stage if stage in found else _PIXELS].items()
    }


def names(run: Run, plain: tuple[str, ...], layers: Layers | None = None) -> tuple[str, ...]:
    """The names that `by_stage` gives to scores."""
    layers = layers or shared_layers(run)
    return tuple(by_stage(run, dict.fromkeys(layers.stages, dict.fromkeys(plain, 0.0)), layers))


def _sets(run: Run, state: TrainState | None) -> dict[str, Sets]:
    read = outputs(run, state)
    test, train = (labelled(run, read, scan) for scan in (test_scan(run), train_scan(run)))
    num_classes = train_scan(run).source.num_classes
    assert num_classes is not None
    return {
        stage: Sets(rows, train.labels, test.outputs[stage], test.labels, num_classes)
        for stage, rows in train.outputs.items()
    }
