"""Propagation: the masks of a video's first frame, taken through the others by features alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import cv2
import jax
import numpy as np
from jaxtyping import Int, UInt8
from ml_collections import ConfigDict

from ssljax import data, metrics, models, report
from ssljax.errors import UserError
from ssljax.evals import features, following
from ssljax.evals.contract import Evaluation, Rows, Run, Scores, leave_out
from ssljax.methods.contract import TrainState
from ssljax.methods.protocols import Tracker

_log = logging.getLogger(__name__)

SCORES = ("j_and_f", "j_mean", "j_recall", "f_mean", "f_recall")
TRACKER = "tracker"
"""The stage that stands for a method's own way of following."""

_FIRST = "features"
"""What the first mask's copies are called, as `features.by_stage` has it."""
_FINEST = 8
"""Pixels in a place of the map that is taken where none is named, at most."""
_SHOWN, _COLUMNS, _CELL = 4, 6, (120, 216)

Pixels = UInt8[np.ndarray, "_height _width _channels"]
Numbers = Int[np.ndarray, "_height _width"]


class Propagation(Evaluation):
    """The scores of DAVIS 2017: J of regions, F of contours, their means, and their mean.

    The mask of a video's first frame is given. Each place of a later frame takes the mixed labels
    of the likest places of the first frame and of some that came before it, by the features of one
    map, as the protocol has it (`ops.propagation.FOLLOWING`), but for those of its numbers that the
    config names. Soft labels are what later frames look at; they are
    enlarged bilinearly to the pixels, of which each is of the label that has most.

    A mean is over frames first, without the first and the last as in the benchmark, then over all
    objects of all videos; a recall counts the frames whose score is above a half. Objects are those
    that the first mask shows.

    Frames are seen whole, at their own size or at `short_side`: repeated edges fill them up to
    squares, and the method is built for views of that size. Networks whose parameters depend on
    the size of the images cannot be. The stage "tracker" is the method's own way, of methods that
    are a `protocols.Tracker`. The row without a network has the first mask in every frame.

    Reference:
      Pont-Tuset et al., The 2017 DAVIS Challenge on Video Object Segmentation (arXiv:1704.00675),
      2017; `davis2017/evaluation.py` of davischallenge/davis2017-evaluation.
    """

    name = "propagation"
    rows = Rows("first mask", "random network", "trained network")

    @staticmethod
    def default_config() -> ConfigDict:
        """DINO's protocol; no set is named."""
        keys = data.FrameKeys()
        return ConfigDict(
            dict(
                name="folder",  # Or a TFDS set of frames; "folder": DAVIS's folders in `dir`.
                dir="",  # Empty for a TFDS set: as `config.evals.dir`.
                split="val",
                resolution="480p",  # Of the folders.
                image_key=keys.image,  # Features of a TFDS set.
                mask_key=keys.mask,
                clip_key=keys.clip,
                time_key=keys.time,
                protocol="dino",  # Or "crw", whose numbers stand where one of these four is 0.
                recent=0,  # Frames that are looked at besides the first.
                top_k=0,  # Places whose labels are mixed.
                radius=0,  # How far a place looks, in places.
                softmax_temperature=0.0,
                stages=(),  # Empty: the deepest map of 8 pixels a place or less.
                output_stride=0,  # Of the encoder while it is scored; 0: its own.
                short_side=0,  # Pixels to which the shorter side of a frame is brought; 0: none.
                batch_size=4,  # Frames that the encoder sees at once.
            )
        )

    def stages(self, run: Run) -> tuple[str, ...]:
        """Its own."""
        return run.once(_stages)

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if there are no videos, or no such maps."""
        run.once(_videos)
        return features.names(run, SCORES, _layers(run))

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Takes the first masks through all videos."""
        stages = run.once(_stages) if state is not None else (_FIRST,)
        found: dict[str, list[dict[str, float]]] = {stage: [] for stage in stages}
        cells: list[Pixels] = []
        for number, video in enumerate(run.once(_videos)):
            objects: dict[str, list[list[tuple[float, float]]]] = {stage: [] for stage in stages}
            shown = (
                np.linspace(0, video.length - 1, _COLUMNS).astype(int) if number < _SHOWN else ()
            )
            strips: dict[str, list[Pixels]] = {"truth": [], **{stage: [] for stage in stages}}
            for place, frame, said in _followed(run, state, video, stages):
                for stage, labels in said.items():
                    if 0 < place < video.length - 1:
                        objects[stage].append(_marks(labels, frame))
                for name, labels in ({"truth": frame.labels} | said).items():
                    strips[name] += [_cell(frame, labels)] * list(shown).count(place)
            for stage, marks in objects.items():
                scored = _objects(marks)
                found[stage] += scored
                _tell(video.name, "the first mask" if state is None else stage, scored)
            cells += [cell for strip in strips.values() for cell in strip]
        values = {stage: _means(scored) for stage, scored in found.items()}
        pictures = {f"{self.name}_{_row(state)}": report.grid(np.stack(cells), _COLUMNS)}
        return Scores(features.by_stage(run, values, _layers(run)), pictures)


def _videos(run: Run) -> list[data.MaskedVideo]:
    keys = run.config.propagation
    if keys.name == "folder" and not keys.dir:
        raise UserError(
            "config.evals.propagation has no videos: name the folder that holds JPEGImages and "
            "Annotations in config.evals.propagation.dir, a TFDS set in "
            f"config.evals.propagation.name, or {leave_out(Propagation.name)}."
        )
    named = data.FrameKeys(keys.image_key, keys.mask_key, keys.clip_key, keys.time_key)
    own = run.experiment.config.data
    # A folder of images or videos is no place where prepared sets are.
    place = keys.dir or run.config.dir or ("" if own.name == "folder" else own.dir)
    videos = data.open_masked_videos(
        keys.name, keys.split, place, resolution=keys.resolution, keys=named
    )
    for video in videos:
        if video.length < 3:
            raise UserError(
                f"The video {video.name} of config.evals.propagation has {video.length} frames; of "
                "3 or more all but the first and the last are scored."
            )
    return videos


def _layers(run: Run) -> features.Layers:
    return features.Layers(run.once(_stages), 0)


def _row(state: TrainState | None) -> str:
    if state is None:
        return "first"
    return "trained" if int(state.step) else "random"


def _stages(run: Run) -> tuple[str, ...]:
    """The maps that are asked for, or the deepest one that is fine enough."""
    asked = tuple(run.config.propagation.stages)
    own, tracks = run.experiment.method, TRACKER in asked
    if tracks and not isinstance(own, Tracker):
        raise UserError(
            f"method.name={run.experiment.config.method.name!r} has no way of its own to follow "
            f"objects: take {TRACKER!r} out of config.evals.propagation.stages."
        )
    if asked == (TRACKER,):
        return asked
    side = following.side_of((run.experiment.config.data.image_size,))
    shapes = following.shapes(run, side)
    has = [name for name, x in shapes.items() if x.ndim == 4]
    for stage in asked:
        if stage not in (*has, TRACKER):
            raise UserError(
                f"The network has no map {stage!r}: set config.evals.propagation.stages to some of "
                f"{', '.join(has) or 'none'}."
            )
    if asked:
        return asked
    named = models.map_names(shapes)
    if not named:
        raise UserError(
            "The network has no maps of stages, blocks or convolutions whose places could be told "
            f"apart: {leave_out(Propagation.name)}."
        )
    fine = [name for name in named if side <= _FINEST * shapes[name].shape[1]]
    return (fine[-1] if fine else named[0],)


def _followed(
    run: Run, state: TrainState | None, video: data.MaskedVideo, stages: tuple[str, ...]
) -> Iterator[tuple[int, following.Shown, dict[str, Numbers]]]:
    """Yields each frame, and its labels as each stage has them."""
    frames = following.frames(run, video)
    first = next(following.frames(run, video))
    if state is None:
        for place, frame in enumerate(frames):
            yield place, frame, {_FIRST: first.labels}
        return
    ways = {
        stage: following.tracked(run, state, video, first) for stage in stages if stage == TRACKER
    }
    maps = tuple(stage for stage in stages if stage != TRACKER)
    together = following.by_features(run, state, video, first, maps) if maps else None
    for place, frame in enumerate(frames):
        said = {stage: next(way) for stage, way in ways.items()}
        yield place, frame, said | (next(together) if together else {})


def _marks(said: Numbers, frame: following.Shown) -> list[tuple[float, float]]:
    """J and F of each object of a frame."""
    pairs = [(said == label, frame.labels == label) for label in range(1, frame.kinds)]
    return [(metrics.region_similarity(*x), metrics.contour_accuracy(*x)) for x in pairs]


def _objects(marks: list[list[tuple[float, float]]]) -> list[dict[str, float]]:
    """The scores of each object, over its frames."""
    table = np.array(marks)  # (frames, objects, 2)
    means, recalls = table.mean(axis=0), (table > 0.5).mean(axis=0)
    return [
        dict(j_mean=mean[0], j_recall=recall[0], f_mean=mean[1], f_recall=recall[1])
        for mean, recall in zip(means, recalls, strict=True)
    ]


def _means(scored: list[dict[str, float]]) -> dict[str, float]:
    """The scores, over all objects."""
    found = {name: float(np.mean([x[name] for x in scored])) for name in SCORES[1:]}
    return {"j_and_f": (found["j_mean"] + found["f_mean"]) / 2} | found


def _tell(name: str, stage: str, scored: list[dict[str, float]]) -> None:
    if jax.process_index() == 0:
        told = ", ".join(f"J {x['j_mean']:.3f} F {x['f_mean']:.3f}" for x in scored)
        _log.info("%s by %s: %s.", name, stage, told)


def _cell(frame: following.Shown, labels: Numbers) -> Pixels:
    """A frame under the labels of its objects, small."""
    over = report.overlaid(frame.image[None], labels[None] - 1, frame.kinds)[0]
    return cv2.resize(over, _CELL[::-1], interpolation=cv2.INTER_AREA)
