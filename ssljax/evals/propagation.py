"""Propagation: the masks of a video's first frame, taken through the others by features alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import cv2
import jax
import numpy as np
from ml_collections import ConfigDict

from ssljax import data, metrics, report
from ssljax.errors import UserError
from ssljax.evals import features, following, shown_frames
from ssljax.evals.contract import Evaluation, Rows, Run, Scores, leave_out
from ssljax.evals.shown_frames import Numbers, Pixels, Shown
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
_OF_MAPS = (
    *("protocol", "recent", "top_k", "radius", "softmax_temperature"),
    *("output_stride", "short_side"),
)
"""Keys for maps alone."""
_SHOWN, _COLUMNS, _CELL = 4, 6, (120, 216)


class Propagation(Evaluation):
    """The scores of DAVIS 2017: J of regions, F of contours, their means, and their mean.

    The mask of a video's first frame is given. Each place of a later frame takes the mixed labels
    of the likest places of the first frame and of some that came before it, by the features of one
    map, as the protocol has it (`ops.propagation.FOLLOWING`), but for those of its numbers that the
    config names. Soft labels are what later frames look at; they are
    enlarged bilinearly to the pixels, of which each is of the label that has most.
    Where no stage is named, the map is the deepest one of 8 pixels a place or less, or the deepest
    of the finest if there is none; but `stage3` of a ResNet whose `stage4` is dilated, since the
    published protocols leave that out.

    A mean is over frames first, without the first and the last as in the benchmark, then over all
    objects of all videos; a recall counts the frames whose score is above a half. Objects are those
    that the first mask shows.

    Frames are seen whole, at their own size or at `short_side`: repeated edges fill them up to
    squares, and the method is built for views of that size. Networks whose parameters depend on
    the size of the images cannot be.

    The squares are our deviation: the published protocols show networks the rectangle. Of a frame
    of 480x854 pixels 45 % of the square are repeated edge. Convolutions meet it near the edge
    alone, but every token of a vision transformer attends to it: scores of those are not
    comparable with published ones.

    The stage "tracker" is the method's own way, of methods that are a `protocols.Tracker`; it reads
    none of the keys for maps. The row without a network has the first mask in every frame.

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
                stages=(),  # Empty: the deepest map of 8 pixels a place or less, or of the finest.
                output_stride=0,  # Of the encoder while it is scored; 0: its own.
                short_side=0,  # Pixels to which the shorter side of a frame is brought; 0: none.
                batch_size=4,  # Frames that the encoder sees at once.
            )
        )

    def stages(self, run: Run) -> tuple[str, ...]:
        """Its own."""
        return run.once(_stages)

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if there are no videos, no such maps, or no maps of such frames."""
        maps = _maps(run.once(_stages))
        for video in run.once(_videos):
            following.check(run, video, maps)
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
            for place, (frame, said) in enumerate(_followed(run, state, video, stages)):
                for stage, labels in said.items():
                    if 0 < place < video.length - 1:
                        objects[stage].append(_marks(labels, frame))
                if times := list(shown).count(place):
                    for name, labels in ({"truth": frame.labels} | said).items():
                        strips[name] += [_cell(frame, labels)] * times
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
        _check_unread(run)
        return asked
    maps = following.maps(run)
    for stage in asked:
        if stage not in (*maps.strides, TRACKER):
            raise UserError(
                f"The network has no map {stage!r}: set config.evals.propagation.stages to some of "
                f"{', '.join(maps.strides) or 'none'}."
            )
    return asked or (_default_stage(run, maps),)


def _check_unread(run: Run) -> None:
    """Raises a `UserError` if keys are set that the tracker, the only stage, does not read."""
    keys, plain = run.config.propagation, Propagation.default_config()
    changed = [f"{name}={keys[name]!r}" for name in _OF_MAPS if keys[name] != plain[name]]
    if changed:
        raise UserError(
            f"config.evals.propagation.stages=({TRACKER!r},) names the method's own way alone, "
            f"which does not read {', '.join(changed)}: leave these keys as they are by default, or"
            " name a map of the network beside it."
        )


def _default_stage(run: Run, maps: following.Maps) -> str:
    """The deepest of the maps that are fine enough; if none is, the deepest of the finest.

    Of a ResNet whose last stage is dilated it is the stage before: published protocols leave
    `layer4` out.
    """
    strides, named = maps
    if not named:
        raise UserError(
            "The network has no maps of stages, blocks or convolutions whose places could be told "
            f"apart: {leave_out(Propagation.name)}."
        )
    most = max(_FINEST, min(strides[name] for name in named))
    fine = [name for name in named if strides[name] <= most]
    encoder = run.experiment.config.model.get("encoder", {}).get("name", "")
    is_resnet = encoder.startswith("resnet") and fine[-1] == "stage4"
    return fine[-2] if is_resnet and strides["stage3"] == strides["stage4"] else fine[-1]


def _maps(stages: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(stage for stage in stages if stage != TRACKER)


def _followed(
    run: Run, state: TrainState | None, video: data.MaskedVideo, stages: tuple[str, ...]
) -> Iterator[tuple[Shown, dict[str, Numbers]]]:
    """Yields each frame, and its labels as each stage has them."""
    first: Shown | None = None
    tracked: following.Tracked | None = None
    by_features: following.ByFeatures | None = None
    for some in shown_frames.batches(run, video):
        if first is None:
            first, maps = some[0], _maps(stages)
            if state is not None and TRACKER in stages:
                tracked = following.Tracked(run, state, first)
            if state is not None and maps:
                by_features = following.ByFeatures(run, state, first, maps)
        kept: dict[str, Numbers] = {_FIRST: first.labels} if state is None else {}
        said = by_features(some) if by_features else [kept] * len(some)
        if tracked:
            said = [x | {TRACKER: y} for x, y in zip(said, tracked(some), strict=True)]
        yield from zip(some, said, strict=True)


def _marks(said: Numbers, frame: Shown) -> list[tuple[float, float]]:
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


def _cell(frame: Shown, labels: Numbers) -> Pixels:
    """A frame under the labels of its objects, small."""
    over = report.overlaid(frame.image[None], labels[None] - 1, frame.kinds)[0]
    return cv2.resize(over, _CELL[::-1], interpolation=cv2.INTER_AREA)
