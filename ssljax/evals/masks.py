"""Masks of images that are scored, and what is predicted of each of their pixels, at their size."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from ssljax import data, metrics, report
from ssljax.errors import UserError
from ssljax.evals import gallery
from ssljax.evals.contract import Run, leave_out
from ssljax.evals.extract import stream

_log = logging.getLogger(__name__)

SCORES = ("miou", "pixel_accuracy", "class_accuracy")
SHOWN = 8
"""Images in a picture, each with its mask and what is predicted."""
_COLUMNS = 6
"""Pictures in a row, if those of one image are not more."""

Pixels = UInt8[np.ndarray, "height width channels"]
Probabilities = Float[np.ndarray, "height width classes"]
Matrix = Int[np.ndarray, "classes classes"]


class Found(NamedTuple):
    """What is known of one image, at the size of its mask.

    Attributes:
      place: Where in the source it is.
      record: What the source has of it.
      mask: The true classes, -1 in the void.
      probabilities: Of the classes, by the name of what predicts them.
    """

    place: int
    record: data.Record
    mask: Int[np.ndarray, "height width"]
    probabilities: Mapping[str, Probabilities]


class Shown(NamedTuple):
    """What is shown of one image, at the size of its mask.

    Attributes:
      place: Where in the source it is.
      mask: The true classes, -1 in the void.
      said: The likeliest classes, by the name of what predicts them.
    """

    place: int
    mask: Int[np.ndarray, "height width"]
    said: Mapping[str, Int[np.ndarray, "height width"]]


def likeliest(found: Found) -> Shown:
    """The class of each pixel that is likeliest."""
    said = {name: np.argmax(x, axis=2) for name, x in found.probabilities.items()}
    return Shown(found.place, found.mask, said)


def check(run: Run, split: str, evaluation: str) -> None:
    """Raises a `UserError` if a split has no masks, or images are not seen as a whole.

    Args:
      run: The run.
      split: Of the evaluations' data set.
      evaluation: Name of the evaluation that needs masks, for the message.
    """
    source, config = run.open(split).source, run.experiment.config.data
    if "mask" not in source.fields:
        raise UserError(
            f"{run.name_of(source.split)} has no masks, and {evaluation} needs them: name the "
            f"feature in config.data.mask_key, or {leave_out(evaluation)}."
        )
    if config.resize == "short_side":
        raise UserError(
            "config.data.resize='short_side' cuts off what is beside the centre of an image, "
            f"and {evaluation} is scored on all of it: set it to 'pad' or 'exact'."
        )


def segmented(
    run: Run, read: Callable[[Array], dict[str, Array]], batch_size: int
) -> Iterator[Found]:
    """Passes the test images through networks; a mask is read when its image has passed.

    Args:
      run: The run.
      read: Gives the probabilities of each pixel's classes in the frame, (batch, size, size,
        classes), by name.
      batch_size: Images at once.

    Yields:
      Each image, in the order of the source.

    Raises:
      ValueError: If a probability is not finite.
    """
    source = run.open(run.config.test_split).source
    scan = run.experiment.scan(source, batch_size, may_keep=False)
    field, frame = source.fields["mask"], _frame(run)
    assert isinstance(field, data.Mask)
    for part in stream(read, scan, mesh=run.mesh):
        records = source.read_many(part.places.tolist())
        for row, (place, record) in enumerate(zip(part.places, records, strict=True)):
            mask = field.numbers(record["mask"])
            placed, found = frame.place(*mask.shape), {}
            for name, rows in part.outputs.items():
                if not np.isfinite(rows[row]).all():
                    raise ValueError(
                        "Scores of classes are not finite: nothing can be told by them."
                    )
                found[name] = _at_size(rows[row], placed)
            yield Found(int(place), record, mask, found)


def image_of(run: Run, found: Found) -> Pixels:
    """The image at its own size."""
    config = run.experiment.config.data
    return data.open_image(
        found.record["image"], channels=config.channels, value_range=tuple(config.range) or None
    )


def scores_of(counts: Mapping[str, Matrix], prefix: str = "") -> dict[str, dict[str, float]]:
    """Reads the scores from counts of pixels, and logs the IoU of each class that the masks have.

    Args:
      counts: As `metrics.confusion_matrix` counts them, by the name of what predicts.
      prefix: Of the scores' names.

    Returns:
      "miou", "pixel_accuracy" and "class_accuracy" of each.

    Raises:
      ValueError: If nothing was counted.
    """
    found = {}
    for name, matrix in counts.items():
        if not matrix.any():
            raise ValueError("No pixel of the test images has a class to compare with.")
        values = metrics.segmentation_scores(matrix)
        found[name] = {f"{prefix}{score}": float(values[score]) for score in SCORES}
        _tell_classes(name, matrix)
    return found


def picture(run: Run, shown: Sequence[Shown], classes: int) -> dict[str, report.Picture]:
    """Shows images, their masks over them, and each prediction over them, free in the void.

    Args:
      run: The run.
      shown: The images.
      classes: How many classes there are.

    Returns:
      The picture, as "segmentation"; none where images have other than 1 or 3 channels.
    """
    if run.experiment.task.image_shape[2] not in (1, 3):
        return {}
    source, frame = run.open(run.config.test_split).source, _frame(run)
    images = gallery.read(run, source, np.array([found.place for found in shown]))
    images = np.broadcast_to(images, (*images.shape[:3], 3))
    cells: list[np.ndarray] = []
    for image, found in zip(images, shown, strict=True):
        predicted = (np.where(found.mask < 0, -1, said) for said in found.said.values())
        masks = [found.mask, *predicted]
        placed = frame.place(*found.mask.shape)
        fitted = [data.fit_mask(mask.astype(np.int32), placed, frame.size, -1) for mask in masks]
        cells += [
            image,
            *report.overlaid(np.stack([image] * len(masks)), np.stack(fitted), classes),
        ]
    each = len(cells) // len(shown)
    return {"segmentation": report.grid(np.stack(cells), each * max(1, _COLUMNS // each))}


def _frame(run: Run) -> data.Frame:
    config = run.experiment.config.data
    return data.Frame(config.image_size, config.channels, config.resize)


def _at_size(
    probabilities: Float[np.ndarray, "size size classes"], placement: data.Placement
) -> Probabilities:
    """Probabilities of a frame's pixels as those of the image that was brought into it."""
    top, left = placement.to_top, placement.to_left
    inside = probabilities[top : top + placement.to_height, left : left + placement.to_width]
    size = placement.height, placement.width
    if inside.shape[:2] == size:
        return inside
    planes = [
        cv2.resize(np.ascontiguousarray(plane), size[::-1], interpolation=cv2.INTER_LINEAR)
        for plane in np.moveaxis(inside, 2, 0)
    ]
    return np.stack(planes, axis=2)


def _tell_classes(name: str, matrix: Matrix) -> None:
    if jax.process_index():
        return
    right, true, said = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    told = [
        f"{number}: {right[number] / (true[number] + said[number] - right[number]):.3f}"
        for number in np.flatnonzero(true)
    ]
    _log.info("%sIoU by class: %s.", name and f"{name.rstrip('/')}: ", ", ".join(told))
