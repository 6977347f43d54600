"""Segmentation: the classes of all pixels of the test images, at the size of their masks."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from ml_collections import ConfigDict

from ssljax import augment, data, metrics, report
from ssljax.errors import UserError
from ssljax.evals import gallery
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.evals.extract import stream
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.protocols import Segmenter
from ssljax.ops.crf import DEEPLAB, dense_crf, unary_from_probabilities

_log = logging.getLogger(__name__)

_SCORES = ("miou", "pixel_accuracy", "class_accuracy")
_SHOWN, _COLUMNS = 8, 6
"""Images in a picture, each with its mask and what is predicted; and pictures in a row."""

Pixels = UInt8[np.ndarray, "height width channels"]
Probabilities = Float[np.ndarray, "height width classes"]


def refine_by_crf(image: Pixels, probabilities: Probabilities) -> Probabilities:
    """Brings probabilities in line with an image's edges, as DeepLab v2 does after its network."""
    unary = unary_from_probabilities(jnp.asarray(probabilities, jnp.float32))
    return np.asarray(dense_crf(unary, image, DEEPLAB, iterations=10))


REFINEMENTS: dict[str, Callable[[Pixels, Probabilities], Probabilities]] = {"crf": refine_by_crf}
"""What may follow the network, by name: better probabilities of an image's pixels, at its size."""


class Segmentation(Evaluation):
    """Mean IoU "miou", and pixel and class accuracy, of the test images' masks.

    What is predicted is brought to each mask's own size, whatever that of the network's images, and
    counted there; pixels of the void are not. With several `scales`, or `flip`, the probabilities
    of all sizes and of mirrored images are averaged. With a refinement its scores stand beside the
    others, as "crf/miou" and so on.

    The picture has images at the size of the network's, each with its mask and its prediction, over
    which the mask's void is left free.
    """

    name = "segmentation"

    @staticmethod
    def default_config() -> ConfigDict:
        """One pass at the images' size."""
        return ConfigDict(
            dict(
                scales=(1.0,),  # Sizes at which test images are seen, as factors of their sides.
                flip=False,  # Whether they are seen mirrored as well.
                refine="",  # What follows the network: "crf"; empty: nothing.
                batch_size=8,  # Images at once; each takes its pixels times the classes.
            )
        )

    def stages(self, run: Run) -> tuple[str, ...]:
        """None: the whole network segments."""
        return ()

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if nothing is segmented, or there are no masks to compare with."""
        keys, config = run.config.segmentation, run.experiment.config
        method = _segmenter(run.experiment.method, run)
        source, resize = run.open(run.config.test_split).source, config.data.resize
        if "mask" not in source.fields:
            raise UserError(
                f"{run.name_of(source.split)} has no masks, and {self.name} needs them: name the "
                f"feature in config.data.mask_key, or {leave_out(self.name)}."
            )
        if resize == "short_side":
            raise UserError(
                "config.data.resize='short_side' cuts off what is beside the centre of an image, "
                "and segmentation is scored on all of it: set it to 'pad' or 'exact'."
            )
        if keys.refine and keys.refine not in REFINEMENTS:
            raise UserError(
                f"config.evals.segmentation.refine={keys.refine!r} is not known; there are: "
                f"{', '.join(REFINEMENTS) or 'none'}."
            )
        images = jax.ShapeDtypeStruct((run.mesh.size, *run.experiment.task.image_shape), np.uint8)
        try:
            jax.eval_shape(_reader(run, method), run.experiment.abstract_state, images)
        except ValueError as error:
            raise UserError(
                f"config.evals.segmentation.scales={keys.scales!r} do not suit the network: {error}"
            ) from error
        return tuple(name for prefix in self._prefixes(run) for name in _named(prefix))

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Counts the pixels of all test images as these pass; raw pixels have no classes."""
        if state is None:
            return Scores()
        classes = run.experiment.config.data.mask_classes
        counts = {prefix: np.zeros((classes, classes), np.int64) for prefix in self._prefixes(run)}
        refine = REFINEMENTS.get(run.config.segmentation.refine)
        shown: list[_Segmented] = []
        for found in _segmented(run, state):
            if len(shown) < _SHOWN:
                shown.append(found)
            for prefix, matrix in counts.items():
                said = found.probabilities
                if prefix:
                    assert refine is not None
                    said = refine(_image(run, found), said)
                predicted = np.argmax(said, axis=2)
                matrix += metrics.confusion_matrix(found.mask, predicted, classes)
        if not counts[""].any():
            raise ValueError("No pixel of the test images has a class to compare with.")
        values: dict[str, float] = {}
        for prefix, matrix in counts.items():
            scores = metrics.segmentation_scores(matrix)
            values |= dict(
                zip(_named(prefix), (float(scores[name]) for name in _SCORES), strict=True)
            )
            _tell_classes(prefix, matrix)
        is_shown = run.experiment.task.image_shape[2] in (1, 3)
        return Scores(values, {self.name: _picture(run, shown, classes)} if is_shown else {})

    def _prefixes(self, run: Run) -> tuple[str, ...]:
        """Of what is scored: the network's predictions, and refined ones."""
        refine = run.config.segmentation.refine
        return ("", f"{refine}/") if refine else ("",)


class _Segmented(NamedTuple):
    """One image, at the size of its mask.

    Attributes:
      place: Where in the source it is.
      record: What the source has of it.
      mask: The true classes, -1 in the void.
      probabilities: Of the classes.
    """

    place: int
    record: data.Record
    mask: Int[np.ndarray, "height width"]
    probabilities: Probabilities


def _named(prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{name}" for name in _SCORES)


def _segmenter(method: Method, run: Run) -> Segmenter:
    if not isinstance(method, Segmenter):
        raise UserError(
            f"method.name={run.experiment.config.method.name!r} does not classify pixels: "
            f"{leave_out(Segmentation.name)}."
        )
    return method


def _segmented(run: Run, state: TrainState) -> Iterator[_Segmented]:
    """Passes the test images through the network; a mask is read when its image has passed."""
    keys, source = run.config.segmentation, run.open(run.config.test_split).source
    scan = run.experiment.scan(source, keys.batch_size, may_keep=False)
    read = functools.partial(run.once(_jitted_reader, run.method(state)), state)
    config = run.experiment.config.data
    field, frame = (
        source.fields["mask"],
        data.Frame(config.image_size, config.channels, config.resize),
    )
    assert isinstance(field, data.Mask)
    for part in stream(read, scan, mesh=run.mesh):
        records = source.read_many(part.places.tolist())
        rows = zip(part.places, records, part.outputs["probabilities"], strict=True)
        for place, record, probabilities in rows:
            if not np.isfinite(probabilities).all():
                raise ValueError("Scores of classes are not finite: nothing can be told by them.")
            mask = field.numbers(record["mask"])
            yield _Segmented(
                int(place), record, mask, _at_size(probabilities, frame.place(*mask.shape))
            )


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


def _image(run: Run, found: _Segmented) -> Pixels:
    """The image at its own size."""
    config = run.experiment.config.data
    return data.open_image(
        found.record["image"], channels=config.channels, value_range=tuple(config.range) or None
    )


def _jitted_reader(run: Run, method: Method) -> Callable[[TrainState, Array], dict[str, Array]]:
    return jax.jit(_reader(run, _segmenter(method, run)))


def _reader(run: Run, method: Segmenter) -> Callable[[TrainState, Array], dict[str, Array]]:
    """Makes the function that gives each pixel's probabilities, a mean over sizes and mirrors."""
    keys = run.config.segmentation
    scales, flips = tuple(keys.scales), (False, True) if keys.flip else (False,)

    def read(state: TrainState, images: Array) -> dict[str, Array]:
        height, width = images.shape[1:3]
        found = []
        for scale in scales:
            sides = max(1, round(height * scale)), max(1, round(width * scale))
            seen = images
            if sides != (height, width):
                seen = augment.to_bytes(augment.resize(augment.to_float(images), sides))
            for flip in flips:
                scores = method.segment(state, seen[:, :, ::-1] if flip else seen)
                scores = scores[:, :, ::-1] if flip else scores
                shape = (*images.shape[:3], scores.shape[3])
                scores = jax.image.resize(scores, shape, "linear", antialias=False)
                found.append(jax.nn.softmax(scores.astype(jnp.float32), axis=3))
        return {"probabilities": sum(found[1:], start=found[0]) / len(found)}

    return read


def _tell_classes(prefix: str, matrix: Int[np.ndarray, "classes classes"]) -> None:
    """Logs the IoU of each class that the masks have."""
    if jax.process_index():
        return
    right, true, said = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    told = [
        f"{number}: {right[number] / (true[number] + said[number] - right[number]):.3f}"
        for number in np.flatnonzero(true)
    ]
    _log.info("%sIoU by class: %s.", prefix, ", ".join(told))


def _picture(run: Run, shown: list[_Segmented], classes: int) -> report.Picture:
    """Shows images, their masks over them, and what is predicted over them."""
    source = run.open(run.config.test_split).source
    places = np.array([found.place for found in shown])
    images = gallery.read(run, source, places)
    images = np.broadcast_to(images, (*images.shape[:3], 3))
    config = run.experiment.config.data
    frame = data.Frame(config.image_size, config.channels, config.resize)
    cells = []
    for image, found in zip(images, shown, strict=True):
        predicted = np.argmax(found.probabilities, axis=2)
        masks = [found.mask, np.where(found.mask < 0, -1, predicted)]
        placed = frame.place(*found.mask.shape)
        fitted = [data.fit_mask(mask.astype(np.int32), placed, frame.size, -1) for mask in masks]
        both = report.overlaid(np.stack([image, image]), np.stack(fitted), classes)
        cells += [image, *both]
    return report.grid(np.stack(cells), _COLUMNS)
