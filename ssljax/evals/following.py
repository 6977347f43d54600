"""Labels of a video's first frame in its others: by an encoder's maps, or a method's own way."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from ssljax import data, mesh, methods, models
from ssljax.errors import UserError, first_line
from ssljax.evals import shown_frames
from ssljax.evals.contract import Run, leave_out
from ssljax.evals.shown_frames import Numbers, Shown
from ssljax.methods.contract import Method, TrainState, phase_at
from ssljax.methods.protocols import Tracker
from ssljax.ops.propagation import FOLLOWING, Following, Remembered, follow, remember_first

_MULTIPLE = 16
"""Sides of what networks see are multiples of so many pixels, or of those in a place of a map."""
_WIDE = 8
"""How many of its own views side by side are shown to a network to learn how wide its places are.

A map of a single view is rounded up to whole places."""

PyTree = Any


def check(run: Run, video: data.MaskedVideo, stages: tuple[str, ...]) -> None:
    """Raises a `UserError` if a video shows no object first, or networks cannot see its frames.

    Args:
      run: The run.
      video: Of which the first mask is read.
      stages: The maps whose places will be told apart.
    """
    first = shown_frames.first_mask(video)
    if stages:
        run.once(_strides_at, side_of(run, _size(run, first.shape), stages), stages)


def _how(run: Run) -> Following:
    keys = run.config.propagation
    own = dict(
        recent=keys.recent,
        top_k=keys.top_k,
        radius=keys.radius,
        temperature=keys.softmax_temperature,
    )
    changed = {name: value for name, value in own.items() if value}
    return dataclasses.replace(FOLLOWING[keys.protocol], **changed)


class Maps(NamedTuple):
    """The maps of a network.

    Attributes:
      strides: Pixels along a side of a place, of each map. They are counted where several views lie
        side by side, or, of a network that can only see views of its own size, in one of those.
      named: Those of stages, blocks or convolutions, the deepest last.
    """

    strides: dict[str, int]
    named: list[str]


def maps(run: Run) -> Maps:
    """The maps of the network."""
    return run.once(_read_maps)


def _read_maps(run: Run) -> Maps:
    config = run.experiment.config
    view = next(_view_sizes(config.method), config.data.image_size)
    side = _WIDE * view
    try:
        found = shapes(run, side)
    except UserError:
        side = view
        found = shapes(run, side)
    strides = {name: max(1, round(side / x.shape[1])) for name, x in found.items() if x.ndim == 4}
    return Maps(strides, models.map_names(found))


def side_of(run: Run, sides: tuple[int, ...], stages: tuple[str, ...]) -> int:
    """Pixels along a side of the square in which a network sees frames.

    Args:
      run: The run.
      sides: Of the frames.
      stages: Maps, of which whole places shall fill the square.
    """
    place = math.lcm(*(maps(run).strides[stage] for stage in stages))
    multiple = place if _MULTIPLE % place else _MULTIPLE
    return -(-max(sides) // multiple) * multiple


def shapes(run: Run, side: int) -> Mapping[str, Any]:
    """Shapes of what the method gives of squares of a size."""
    channels = run.experiment.config.data.channels
    images = jax.ShapeDtypeStruct((run.mesh.size, side, side, channels), np.uint8)
    try:
        method = run.once(_method, side, 0)
        found: Mapping[str, Any] = jax.eval_shape(
            method.features, run.experiment.abstract_state, images
        )
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The network cannot see frames of {side}x{side} pixels: {first_line(error)} Set "
            f"config.evals.propagation.short_side, or {leave_out('propagation')}."
        ) from error
    return found


def _strides_at(run: Run, side: int, stages: tuple[str, ...]) -> dict[str, int]:
    """Pixels along a side of a place in squares of a size, which it must divide."""
    known, found = shapes(run, side), {}
    for stage in stages:
        places = known[stage].shape[1]
        if side % places:
            raise UserError(
                f"The {places} places of {stage} are of no whole number of the {side} pixels of "
                "frames: set config.evals.propagation.short_side or another of its stages."
            )
        found[stage] = side // places
    return found


def _method(run: Run, side: int, phase: int) -> Method:
    """The method with the graph of a phase, built for images and views of another size."""
    whole = run.experiment.config
    config = whole.copy_and_resolve_references()
    stride = run.config.propagation.output_stride
    with config.unlocked():
        _enlarge(config.method, side)
        config.data.image_size = side
        if stride and "encoder" in config.model:
            config.model.encoder.output_stride = stride
    shape = (side, side, whole.data.channels)
    task = dataclasses.replace(run.experiment.task, image_shape=shape, phase=phase)
    return methods.build(config, task)


_VIEWS = ("view", "view1", "view2")


def _enlarge(keys: ConfigDict, side: int) -> None:
    """Sets the size of the views that show whole images, of a method and of its tasks."""
    for name, value in keys.items():
        if isinstance(value, ConfigDict):
            if name in _VIEWS:
                value.size = side
            else:
                _enlarge(value, side)


def _view_sizes(keys: ConfigDict) -> Iterator[int]:
    """The sizes that `_enlarge` would set."""
    for name, value in keys.items():
        if isinstance(value, ConfigDict):
            if name in _VIEWS:
                yield value.size
            else:
                yield from _view_sizes(value)


class ByFeatures:
    """Follows the labels of a video's first frame by the features of maps.

    Args:
      run: The run.
      state: The training state.
      first: The first frame.
      stages: The maps.
    """

    def __init__(self, run: Run, state: TrainState, first: Shown, stages: tuple[str, ...]) -> None:
        self._run, self._state, self._first = run, state, first
        self._how = _how(run)
        self._size = _size(run, first.labels.shape)
        self._side = side_of(run, self._size, stages)
        self._strides = run.once(_strides_at, self._side, stages)
        phase, _ = phase_at(run.experiment.method.phases, max(0, int(state.step) - 1))
        self._read = run.once(_reader, self._side, phase, stages)
        self._known: dict[str, Remembered] = {}

    def __call__(self, shown: Sequence[Shown]) -> list[dict[str, Numbers]]:
        """The labels of the next frames, by map."""
        found = self._maps(shown)
        return [
            {stage: self._labels(stage, x[row]) for stage, x in found.items()}
            for row in range(len(shown))
        ]

    def _maps(self, shown: Sequence[Shown]) -> dict[str, Array]:
        """The maps of some frames, in whole on every device."""
        batch, rows = shown_frames.at_once(self._run), []
        for frame in shown:
            pixels = frame.image
            if pixels.shape[:2] != self._size:
                pixels = cv2.resize(pixels, self._size[::-1], interpolation=cv2.INTER_AREA)
                pixels = pixels.reshape(*self._size, -1)
            room = [(0, self._side - length) for length in self._size]
            rows.append(np.pad(pixels, (*room, (0, 0)), mode="edge"))
        own = mesh.local_rows(self._run.mesh, batch)
        filled = np.stack(rows + rows[-1:] * (batch - len(rows)))[own]
        sharding = mesh.batch_sharding(self._run.mesh)
        return self._read(self._state, jax.make_array_from_process_local_data(sharding, filled))

    def _labels(self, stage: str, whole: Float[Array, "places places dim"]) -> Numbers:
        """The labels of the next frame, by one map of it."""
        first, stride, size = self._first, self._strides[stage], self._size
        inside = [-(-length // stride) for length in size]
        row = whole[: inside[0], : inside[1]]
        if stage in self._known:
            step = self._run.once(_stepper, self._how, size, stride)
            self._known[stage], labels = step(self._known[stage], row)
            return cv2.resize(
                np.asarray(labels).astype(np.int32),
                first.labels.shape[::-1],
                interpolation=cv2.INTER_NEAREST_EXACT,
            )
        small = cv2.resize(first.labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        centres = [
            np.minimum(np.arange(n) * stride + stride // 2, length - 1)
            for n, length in zip(inside, size, strict=True)
        ]
        begin = np.eye(first.kinds, dtype=np.float32)[small[np.ix_(*centres)]]
        start = jax.jit(remember_first, static_argnums=2)
        self._known[stage] = start(row, begin, self._how.recent)
        return first.labels


def _size(run: Run, shape: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of the frames that are seen."""
    short_side = run.config.propagation.short_side
    factor = short_side / min(shape) if short_side else 1.0
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _reader(
    run: Run, side: int, phase: int, stages: tuple[str, ...]
) -> Callable[[TrainState, Array], dict[str, Array]]:
    method = run.once(_method, side, phase)

    def read(state: TrainState, frames: Array) -> dict[str, Array]:
        found = method.features(state, frames)
        return {stage: found[stage] for stage in stages}

    return jax.jit(read, out_shardings=mesh.replicated(run.mesh))


def _stepper(
    run: Run, how: Following, size: tuple[int, int], stride: int
) -> Callable[[Remembered, Array], tuple[Remembered, Array]]:
    """Makes the jitted step from frame to frame, which also tells the labels of its pixels."""

    def step(
        known: Remembered, row: Float[Array, "height width dim"]
    ) -> tuple[Remembered, UInt8[Array, "rows columns"]]:
        known, labels = follow(known, row, how)
        return known, _pixels(labels, (row.shape[0] * stride, row.shape[1] * stride), size, how)

    return jax.jit(step)


def _pixels(
    labels: Float[Array, "height width kinds"],
    covered: tuple[int, int],
    size: tuple[int, int],
    how: Following | None = None,
) -> UInt8[Array, "rows columns"]:
    """The label of each pixel that has most, of those that the places cover."""
    shape = (*covered, labels.shape[-1])
    shares = jax.image.resize(labels, shape, "linear", antialias=False)[: size[0], : size[1]]
    if how is not None and how.stretch:
        shares = shares - jnp.min(shares, axis=(0, 1), keepdims=True)
        most = jnp.max(shares, axis=(0, 1), keepdims=True)
        shares = shares / jnp.where(most > 0, most, 1.0)
    return jnp.argmax(shares, axis=-1).astype(jnp.uint8)


class Tracked:
    """Follows the labels of a video's first frame by the method's own way.

    Args:
      run: The run.
      state: The training state.
      first: The first frame.
    """

    def __init__(self, run: Run, state: TrainState, first: Shown) -> None:
        self._state, self._first = state, first
        self._start, self._step = run.once(_tracker, run.method(state))
        self._known: PyTree = None

    def __call__(self, shown: Sequence[Shown]) -> list[Numbers]:
        """The labels of the next frames."""
        return [self._labels(frame) for frame in shown]

    def _labels(self, frame: Shown) -> Numbers:
        if self._known is not None:
            self._known, labels = self._step(self._state, self._known, frame.image[None])
            return np.asarray(labels).astype(np.int32)
        shares = np.eye(frame.kinds, dtype=np.float32)[frame.labels][None]
        self._known = self._start(self._state, frame.image[None], shares)
        return self._first.labels


def _tracker(run: Run, method: Method) -> tuple[Callable[..., PyTree], Callable[..., PyTree]]:
    """Makes the jitted start, and the jitted step to a frame and the labels of its pixels."""
    assert isinstance(method, Tracker)
    tracker: Tracker = method

    def step(
        state: TrainState, known: PyTree, frames: UInt8[Array, "1 height width channels"]
    ) -> tuple[PyTree, UInt8[Array, "height width"]]:
        known, shares = tracker.track(state, known, frames)
        _, height, width, _ = frames.shape
        return known, _pixels(shares[0], (height, width), (height, width))

    whole = mesh.replicated(run.mesh)
    start = jax.jit(tracker.start_track, out_shardings=whole)
    return start, jax.jit(step, out_shardings=whole)
