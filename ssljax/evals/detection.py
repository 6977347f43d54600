"""Detection: boxes that are found in the test images, at the images' own size."""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from ssljax import data, metrics, report
from ssljax.errors import UserError
from ssljax.evals import gallery
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.evals.extract import stream
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.protocols import Detector

_log = logging.getLogger(__name__)

_SCORES = ("ap", "ap50", "ap75", "voc12", "voc07")
_OFFICIAL = "faster_coco_eval"
_SHOWN, _COLUMNS, _SIDE = 8, 4, 320
"""Images in a picture, each with what is there and what is found; pictures in a row; their side."""


class Detection(Evaluation):
    """COCO's average precision, "ap", "ap50" and "ap75", and Pascal VOC's, of the test images.

    What is found is brought back to each image's own pixels, and compared there with its boxes.
    Crowds and difficult things are left out as COCO and VOC do. "voc12" is the area below the curve
    and "voc07" the mean over 11 recalls, both at an IoU of 0.5. All are means over the classes that
    the images have.

    The picture has images twice, with what is there and with what is found of a score that is large
    enough.
    """

    name = "detection"

    @staticmethod
    def default_config() -> ConfigDict:
        """Our own count of COCO's average precision."""
        return ConfigDict(
            dict(
                official=False,  # Whether COCO's is counted by faster-coco-eval.
                shown_score=0.3,  # Least score of a box in the picture.
                batch_size=8,  # Images at once.
            )
        )

    def stages(self, run: Run) -> tuple[str, ...]:
        """None: the whole network detects."""
        return ()

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if nothing is detected, or there are no boxes to compare with."""
        method = _detector(run.experiment.method, run)
        source, resize = run.open(run.config.test_split).source, run.experiment.config.data.resize
        if "boxes" not in source.fields:
            raise UserError(
                f"{run.name_of(source.split)} has no boxes, and {self.name} needs them: name the "
                "feature in config.data.boxes_key or a folder's file in config.data.annotations, or"
                f" {leave_out(self.name)}."
            )
        learnt = run.experiment.sources.fed["images"].fields["boxes"]
        asked = source.fields["boxes"]
        assert isinstance(learnt, data.Boxes)
        assert isinstance(asked, data.Boxes)
        if learnt.names and asked.names and learnt.names != asked.names:
            raise UserError(
                f"The boxes of {run.name_of(source.split)} are of the classes "
                f"{', '.join(asked.names)}, and the network has learnt {', '.join(learnt.names)}: "
                "number the categories alike, or choose another set in config.evals.name."
            )
        if resize == "short_side":
            raise UserError(
                "config.data.resize='short_side' cuts off what is beside the centre of an image, "
                "and detection is scored on all of it: set it to 'pad' or 'exact'."
            )
        if run.config.detection.official and importlib.util.find_spec(_OFFICIAL) is None:
            raise UserError(
                "config.evals.detection.official needs faster-coco-eval, which is not installed: "
                "run pip install 'ssljax[detection]', or set it to false."
            )
        images = jax.ShapeDtypeStruct((run.mesh.size, *run.experiment.task.image_shape), np.uint8)
        try:
            jax.eval_shape(method.detect, run.experiment.abstract_state, images)
        except ValueError as error:
            raise UserError(f"The images do not suit the network: {error}") from error
        return _SCORES

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Finds the objects of all test images as these pass; raw pixels find nothing."""
        if state is None:
            return Scores()
        keys, classes = run.config.detection, run.experiment.config.data.box_classes
        compared = list(_compared(run, state))
        pairs = [(each.found, each.truth) for each in compared]
        count = (
            metrics.official_average_precision if keys.official else metrics.coco_average_precision
        )
        of_classes = count(pairs, classes)
        asked = ~np.isnan(of_classes[0])
        if not asked.any():
            raise ValueError("The test images have no boxes to compare with.")
        at = {round(100 * iou): row for iou, row in zip(metrics.COCO_IOUS, of_classes, strict=True)}
        values = {
            "ap": of_classes[:, asked],
            "ap50": at[50][asked],
            "ap75": at[75][asked],
            "voc12": metrics.voc_average_precision(pairs, classes)[asked],
            "voc07": metrics.voc_average_precision(pairs, classes, points=11)[asked],
        }
        if jax.process_index() == 0:
            told = [f"{number}: {at[50][number]:.3f}" for number in np.flatnonzero(asked)]
            _log.info("AP50 by class: %s.", ", ".join(told))
        is_shown = run.experiment.task.image_shape[2] in (1, 3)
        return Scores(
            {name: float(np.mean(x)) for name, x in values.items()},
            {self.name: _picture(run, compared[:_SHOWN], classes)} if is_shown else {},
        )


class _Compared(NamedTuple):
    """One image.

    Attributes:
      place: Where in the source it is.
      placement: Of it in the run's frame.
      found: What is found in it, in its own pixels.
      truth: What is there.
    """

    place: int
    placement: data.Placement
    found: metrics.Found
    truth: metrics.Truth


def _detector(method: Method, run: Run) -> Detector:
    if not isinstance(method, Detector):
        raise UserError(
            f"method.name={run.experiment.config.method.name!r} finds no boxes: "
            f"{leave_out(Detection.name)}."
        )
    return method


def _compared(run: Run, state: TrainState) -> Iterator[_Compared]:
    """Passes the test images through the network; boxes are read when their image has passed."""
    source, config = run.open(run.config.test_split).source, run.experiment.config.data
    images = data.Subset(source, np.arange(len(source)), only=("image",))
    scan = run.experiment.scan(images, run.config.detection.batch_size, may_keep=False)
    read = functools.partial(run.once(_jitted_reader, run.method(state)), state)
    field, frame = (
        source.fields["boxes"],
        data.Frame(config.image_size, config.channels, config.resize),
    )
    assert isinstance(field, data.Boxes)
    for part in stream(read, scan, mesh=run.mesh):
        records = source.read_many(part.places.tolist())
        rows = zip(part.places, records, part.outputs["objects"], strict=True)
        for place, record, objects in rows:
            if not np.isfinite(objects).all():
                raise ValueError("What is found is not finite: nothing can be told by it.")
            size = _size(record["image"], config)
            placement = frame.place(*size)
            boxes, crowd, difficult = field.rows(record["boxes"], size)
            truth = metrics.Truth(boxes[:, :4], boxes[:, 4].astype(int), crowd, difficult)
            yield _Compared(int(place), placement, _found(objects, placement), truth)


def _jitted_reader(run: Run, method: Method) -> Callable[[TrainState, Array], dict[str, Array]]:
    detector = _detector(method, run)
    return jax.jit(lambda state, images: {"objects": detector.detect(state, images)})


def _size(image: bytes | np.ndarray, config: ConfigDict) -> tuple[int, int]:
    """Height and width of a stored image; of a JPEG its header tells them."""
    told = data.stored_size(image) if isinstance(image, bytes) else None
    if told is not None:
        return told
    value_range = tuple(config.range) or None
    opened = data.open_image(image, channels=config.channels, value_range=value_range)
    return opened.shape[0], opened.shape[1]


def _found(objects: Float[np.ndarray, "count 6"], placement: data.Placement) -> metrics.Found:
    """What is found in a frame, in the pixels of the image that was brought into it."""
    real = np.asarray(objects[objects[:, 4] >= 0], np.float64)
    first = np.array([placement.to_top, placement.to_left] * 2)
    factors = np.array(
        [placement.height / placement.to_height, placement.width / placement.to_width] * 2
    )
    most = np.array([placement.height, placement.width] * 2)
    boxes = np.clip((real[:, :4] - first) * factors, 0, most)
    return metrics.Found(boxes, real[:, 4].astype(int), real[:, 5])


def _picture(run: Run, shown: list[_Compared], classes: int) -> report.Picture:
    """Shows images with the boxes that are there, and with those that are found."""
    source = run.open(run.config.test_split).source
    images = gallery.read(run, source, np.array([each.place for each in shown]))
    size = images.shape[1]
    factor = max(1, round(_SIDE / size))
    cells = []
    for image, each in zip(images, shown, strict=True):
        likely = each.found.scores >= run.config.detection.shown_score
        for boxes, kinds in (
            (each.truth.boxes, each.truth.classes),
            (each.found.boxes[likely], each.found.classes[likely]),
        ):
            placed = data.fit_boxes(boxes, each.placement, size)
            cells.append(report.boxed(image, placed, kinds, classes, factor))
    return report.grid(np.stack(cells), _COLUMNS)
