"""The frames of masked videos as an evaluation shows them, with the truth of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from ssljax import data
from ssljax.data.decode import CorruptImage, Misfit
from ssljax.errors import UserError, first_line
from ssljax.evals.contract import Run

_ADVICE = "mend it, or leave the video out of config.evals.propagation.split."

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


def batches(run: Run, video: data.MaskedVideo) -> Iterator[list[Shown]]:
    """Decodes frames, as many at a time as the devices see together; the last are fewer."""
    shown = _frames(run, video)
    while some := list(itertools.islice(shown, at_once(run))):
        yield some


def at_once(run: Run) -> int:
    """How many frames the devices see together."""
    return -(-run.config.propagation.batch_size // run.mesh.size) * run.mesh.size


def _frames(run: Run, video: data.MaskedVideo) -> Iterator[Shown]:
    config = run.experiment.config.data
    first = first_mask(video)
    single = data.has_single_object(first)
    known = _objects(first)
    for place in range(video.length):
        image, mask = video.read(place)
        with _told(video, place, "The mask of frame"):
            numbers = data.object_numbers(data.mask_numbers(mask), single=single)
        with _told(video, place, "Frame"):
            pixels = data.open_image(
                image, channels=config.channels, value_range=tuple(config.range) or None
            )
        for what, shape in ((f"frame {place}", pixels.shape[:2]), ("the first mask", first.shape)):
            if shape != numbers.shape:
                raise UserError(
                    "The mask of frame {} of {} has {}x{} pixels, and {} has {}x{}: {}".format(
                        place, video.name, *numbers.shape, what, *shape, _ADVICE
                    )
                )
        labels = np.zeros(numbers.shape, np.int32)
        for label, number in enumerate(known, start=1):
            labels[numbers == number] = label
        yield Shown(pixels, labels, 1 + len(known))


@contextlib.contextmanager
def _told(video: data.MaskedVideo, place: int, what: str) -> Iterator[None]:
    """Says of which frame of which video something cannot be used."""
    try:
        yield
    except CorruptImage as error:
        raise UserError(
            f"{what} {place} of {video.name} is corrupt ({first_line(error)}): {_ADVICE}"
        ) from error
    except Misfit as error:
        raise UserError(
            f"Frame {place} of {video.name} {error}: correct config.data, or the frame."
        ) from error


def first_mask(video: data.MaskedVideo) -> Numbers:
    """Decodes the first mask of a video, as it is stored.

    Raises:
      UserError: It is no mask, or shows no object.
    """
    with _told(video, 0, "The mask of frame"):
        first = data.mask_numbers(video.read(0)[1])
    if not _objects(first):
        raise UserError(f"The first mask of {video.name} shows no object to follow: {_ADVICE}")
    return first


def _objects(first: Numbers) -> list[int]:
    """The numbers of the objects of a video, by its first mask."""
    numbers = data.object_numbers(first, single=data.has_single_object(first))
    known: list[int] = np.unique(numbers[numbers > 0]).tolist()
    return known
