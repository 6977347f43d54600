"""Labels of a video's first frame in its others: by an encoder's maps, or a method's own way."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from ml_collections import ConfigDict

from ssljax import data, mesh, methods
from ssljax.errors import UserError, first_line
from ssljax.evals.contract import Run, leave_out
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.protocols import Tracker
from ssljax.ops.propagation import FOLLOWING, Following, Remembered, follow, remember_first

_MULTIPLE = 16
"""Sides of what networks see are multiples of so many pixels."""

Pixels = UInt8[np.ndarray, "_height _width _channels"]
Numbers = Int[np.ndarray, "_height _width"]


class Shown(NamedTuple):
    """A frame, and the truth of it.

    Attributes:
      image: At its own size.
      labels: 0 for the ground, then the objects of the first frame in the order of their numbers.
      kinds: How many labels there are.
    """

    image: Pixels
    labels: Numbers
    kinds: int


def frames(run: Run, video: data.MaskedVideo) -> Iterator[Shown]:
    """Decodes one frame after another."""
    config = run.experiment.config.data
    known: list[int] = []
    for place in range(video.count):
        image, mask = video.read(place)
        numbers = data.object_numbers(mask)
        pixels = data.open_image(
            image, channels=config.channels, value_range=tuple(config.range) or None
        )
        if pixels.shape[:2] != numbers.shape:
            raise UserError(
                f"Frame {place} of {video.name} has {pixels.shape[:2]} pixels, and its mask "
                f"{numbers.shape}."
            )
        if not place:
            known = np.unique(numbers[numbers > 0]).tolist()
            if not known:
                raise UserError(f"The first mask of {video.name} shows no object to follow.")
        labels = np.zeros(numbers.shape, np.int32)
        for label, number in enumerate(known, start=1):
            labels[numbers == number] = label
        yield Shown(pixels, labels, 1 + len(known))


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


def side_of(sides: tuple[int, ...]) -> int:
    """Pixels along a side of the square in which a network sees frames."""
    return -(-max(sides) // _MULTIPLE) * _MULTIPLE


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


def _method(run: Run, side: int, step: int) -> Method:
    """The method, built for images and views of another size."""
    whole = run.experiment.config
    config = whole.copy_and_resolve_references()
    stride = run.config.propagation.output_stride
    with config.unlocked():
        _enlarge(config.method, side)
        config.data.image_size = side
        if stride and "encoder" in config.model:
            config.model.encoder.output_stride = stride
    shape = (side, side, whole.data.channels)
    task = dataclasses.replace(run.experiment.task, image_shape=shape)
    return methods.build_at(config, task, step)


def _enlarge(keys: ConfigDict, side: int) -> None:
    """Sets the size of the views that show whole images, of a method and of its tasks."""
    for name, value in keys.items():
        if isinstance(value, ConfigDict):
            if name in ("view", "view1", "view2"):
                value.size = side
            else:
                _enlarge(value, side)


def by_features(
    run: Run, state: TrainState, video: data.MaskedVideo, first: Shown, stages: tuple[str, ...]
) -> Iterator[dict[str, Numbers]]:
    """The labels of each frame, by the features of maps."""
    how = _how(run)
    size = _size(first.labels.shape, run.config.propagation.short_side)
    side = side_of(size)
    known_shapes, strides = shapes(run, side), {}
    for stage in stages:
        places = known_shapes[stage].shape[1]
        if side % places:
            raise UserError(
                f"The {places} places of {stage} are of no whole number of the {side} pixels of "
                "frames: set config.evals.propagation.short_side or another of its stages."
            )
        strides[stage] = side // places
    read = run.once(_reader, side, int(state.step), stages)
    small = cv2.resize(first.labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    known: dict[str, Remembered] = {}
    for frame_maps in _maps(run, functools.partial(read, state), video, size, side):
        said = {}
        for stage, stride in strides.items():
            step = run.once(_stepper, how, size, stride)
            inside = tuple(-(-length // stride) for length in size)
            row = frame_maps[stage][: inside[0], : inside[1]]
            if stage in known:
                known[stage], labels = step(known[stage], row)
                at_size = np.asarray(labels).astype(np.int32)
                said[stage] = cv2.resize(
                    at_size, first.labels.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT
                )
            else:
                centres = [
                    np.minimum(np.arange(n) * stride + stride // 2, length - 1)
                    for n, length in zip(inside, size, strict=True)
                ]
                begin = np.eye(first.kinds, dtype=np.float32)[small[np.ix_(*centres)]]
                known[stage] = jax.jit(remember_first, static_argnums=2)(row, begin, how.recent)
                said[stage] = first.labels
        yield said


def _size(shape: tuple[int, ...], short_side: int) -> tuple[int, int]:
    """(height, width) of the frames that are seen."""
    factor = short_side / min(shape) if short_side else 1.0
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _maps(
    run: Run,
    read: Callable[[Array], dict[str, Array]],
    video: data.MaskedVideo,
    size: tuple[int, int],
    side: int,
) -> Iterator[dict[str, Array]]:
    """The maps of each frame, made for several frames at once, in whole on every device."""
    batch = -(-run.config.propagation.batch_size // run.mesh.size) * run.mesh.size
    own, sharding = mesh.local_rows(run.mesh, batch), mesh.batch_sharding(run.mesh)
    waiting: list[Pixels] = []
    for place, frame in enumerate(frames(run, video)):
        pixels = frame.image
        if pixels.shape[:2] != size:
            pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
            pixels = pixels.reshape(*size, -1)
        room = ((0, side - size[0]), (0, side - size[1]), (0, 0))
        waiting.append(np.pad(pixels, room, mode="edge"))
        if len(waiting) == batch or place == video.count - 1:
            rows = np.stack(waiting + waiting[-1:] * (batch - len(waiting)))[own]
            found = read(jax.make_array_from_process_local_data(sharding, rows))
            for row in range(len(waiting)):
                yield {stage: x[row] for stage, x in found.items()}
            waiting.clear()


def _reader(
    run: Run, side: int, step: int, stages: tuple[str, ...]
) -> Callable[[TrainState, Array], dict[str, Array]]:
    method = run.once(_method, side, step)

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


def tracked(
    run: Run, state: TrainState, video: data.MaskedVideo, first: Shown
) -> Iterator[Numbers]:
    """The labels of each frame, by the method's own way."""
    method, size = run.method(state), first.labels.shape
    clip = np.stack([frame.image for frame in frames(run, video)])[None]
    begin = np.eye(first.kinds, dtype=np.float32)[first.labels][None]
    track = run.once(_tracker, method)
    for place, shares in enumerate(mesh.to_host(track(state, clip, begin))[0]):
        told = jax.jit(_pixels, static_argnums=(1, 2))(shares, size, size)
        yield np.asarray(told).astype(np.int32) if place else first.labels


def _tracker(run: Run, method: Method) -> Callable[..., Array]:
    assert isinstance(method, Tracker)
    return jax.jit(method.track, out_shardings=mesh.replicated(run.mesh))
