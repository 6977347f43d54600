r"""Prepares videos: frames, optical flow, how much moves, and patches that show the same thing.

python -m ssljax.tools.prepare_video VIDEOS... --out DIR [--side 256] [--holdout 0.2 --gap 8]

VIDEOS are files, folders of frames, and folders of either, which are searched; a video is called by
its path in the folder, without ending. With `--dataset` they are those of a TFDS set. Written are

    frames/{train,test}/VIDEO/00012.jpg     the frames, `--fps` of them a second, `--side` high
    frames/motion.csv                       mean motion from each frame to the next, in pixels,
                                            less that of the camera: `config.data.motion` reads it
    flow/{train,test}/VIDEO/00012.png       optical flow from that frame to the next, in pixels to
                                            the right and downwards; `ssljax.data.decode_flow`
                                            reads it
    tracks/{train,test}/VIDEO/00012/0.jpg   what moves in that frame, and `1.jpg` 30 frames later:
                                            pairs of patches as Wang and Gupta (2015) mine them

The last part of each video is the split "test" where `--holdout` asks for one, without its first
`--gap` frames. Trackers and interest points differ from the paper's: see
`ssljax.tools.video_tracks`. Started again the program goes on: a video that is done stays, and one
that was interrupted is made anew. One that cannot be read is told in a line and left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

import cv2

from ssljax import paths
from ssljax.data.decode import CorruptImage, Misfit
from ssljax.data.sources.clip_files import find_videos
from ssljax.data.sources.tfds import open_builder
from ssljax.data.sources.tfds_videos import RecordKeys, list_videos
from ssljax.data.videos import VideoFile, spread
from ssljax.errors import StoppedError, UserError, brief, is_refused, refusal
from ssljax.tools import command
from ssljax.tools.video_output import PARTS, Frames, Output, Settings, Told, check_names
from ssljax.tools.video_tracks import Rules

_SIDE = 256


class Named(NamedTuple):
    """A video, and what its folders are called."""

    name: str
    video: Frames


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Those after the program's name; by default the command line's.

    Returns:
      The exit status: 0, 1 where a video could not be read, or 2 after a mistake in the input.
    """
    options = _parser().parse_args(arguments)
    return command.answer(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    settings = _settings(options)
    directory = paths.resolve(options.out)
    if paths.is_remote(directory):
        raise UserError("--out must lie on a disk: copy what is written there to the bucket.")
    videos = _gather(options)
    try:
        output = Output(directory, settings)
        output.check_names(each.name for each in videos)
        bad = _prepare_all(videos, output, settings, options.jobs or os.cpu_count() or 1)
    except OSError as error:
        raise UserError(refusal(error, directory)) from error
    if bad:
        raise StoppedError(f"{bad} of {len(videos)} videos could not be read; the others are done.")


def _prepare_all(videos: Sequence[Named], output: Output, settings: Settings, jobs: int) -> int:
    """Prepares what is not done yet, tells of each, and says how many could not be read."""
    left = [each for each in videos if not output.is_done(each.name)]
    if len(left) < len(videos):
        print(f"{len(videos) - len(left)} of {len(videos)} videos are done", flush=True)
    bad, stop = 0, threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            begun = {pool.submit(_prepare, each, output, settings, stop): each for each in left}
            for number, future in enumerate(as_completed(begun), 1):
                told = future.result()
                bad += isinstance(told, str)
                where = sys.stderr if isinstance(told, str) else sys.stdout
                text = told if isinstance(told, str) else _tell(told)
                print(
                    f"{number} of {len(left)}, {begun[future].name}: {text}", file=where, flush=True
                )
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            output.write_motion()
    return bad


def _prepare(each: Named, output: Output, settings: Settings, stop: threading.Event) -> Told | str:
    """Prepares a video; says why where it cannot be read."""
    try:
        numbers: Sequence[int] = range(each.video.count())
        if settings.fps:
            assert isinstance(each.video, VideoFile)
            numbers = spread(each.video.seconds(), settings.fps)
        if not numbers:
            return "it holds no frames, and is left out"
        return output.write(each.name, each.video, numbers, stop) or "interrupted"
    except (CorruptImage, Misfit, UserError, cv2.error) as error:
        return f"{brief(error)}; it is left out"


def _tell(told: Told) -> str:
    """What was written, in words."""
    counted = [
        f"{sum(told.frames.values()):,} frames ({' + '.join(map(str, told.frames.values()))})",
        f"{sum(told.tracks.values()):,} tracks ({' + '.join(map(str, told.tracks.values()))})",
    ]
    return ", ".join(counted)


def _gather(options: argparse.Namespace) -> list[Named]:
    """The videos that the command line names."""
    if bool(options.videos) == bool(options.dataset):
        raise UserError("Name videos, or a TFDS set in --dataset: one of the two.")
    if options.dataset:
        keys = RecordKeys(options.image_key, options.clip_key, options.time_key)
        builder = open_builder(options.dataset, options.data_dir or None)
        found = [Named(v.name, v) for v in list_videos(builder, options.split, keys)]
    else:
        found = [Named(*named) for place in options.videos for named in _below(place)]
    if options.fps and not all(isinstance(each.video, VideoFile) for each in found):
        raise UserError("--fps is for video files: frames do not say when they are shown.")
    several = [name for name, count in Counter(each.name for each in found).items() if count > 1]
    if several:
        raise UserError(
            f"Several videos are called {several[0]!r}: rename all but one, or name the folder "
            "above theirs."
        )
    check_names(each.name for each in found)
    return found


def _below(place: str) -> Sequence[tuple[str, Frames]]:
    """The videos at a path that the command line names, with their names."""
    path = paths.resolve(place)
    try:
        if path.is_file():
            return [(path.stem, VideoFile(path))]
        if not path.is_dir():
            raise UserError(f"There is no video and no folder {place}: correct its name.")
        return find_videos(path)
    except Exception as error:
        if is_refused(error):
            raise UserError(refusal(error, path)) from error
        raise


def _settings(options: argparse.Namespace) -> Settings:
    parts = tuple(part for part in PARTS if part in options.parts.split(","))
    if not parts or len(parts) != len(options.parts.split(",")):
        raise UserError(f"--parts is {options.parts!r}; it must name some of {','.join(PARTS)}.")
    for name, least, most in (
        *(("fps", 0, 1e4), ("side", 0, 1e5), ("gap", 0, 1e9), ("jobs", 0, 1e3)),
        *(("track_length", 1, 1e6), ("track_every", 1, 1e6), ("track_box", 0, 1)),
        *(("track_moving", 0, 1e3), ("track_least", 0, 1), ("track_most", 0, 1)),
        *(("track_border", 0, 1e5), ("track_kept", 0, 1)),
    ):
        if not least <= getattr(options, name) <= most:
            raise UserError(
                f"--{name} is {getattr(options, name):g}; it must be from {least:g} to {most:g}."
            )
    if not 0 <= options.holdout < 1:
        raise UserError(f"--holdout is {options.holdout:g}; it must be from 0, and below 1.")
    rules = {rule.name: getattr(options, f"track_{rule.name}") for rule in _RULES}
    common = options.fps, options.side, options.holdout, options.gap, options.flow
    return Settings(*common, parts, Rules(**rules))


_RULES = dataclasses.fields(Rules)
_TOLD = {
    "length": "frames from the first patch of a pair to the last",
    "every": "frames between those in which a track may begin",
    "box": "side of the patches, of the frame's short side",
    "moving": "pixels a frame, beside the camera, from which on a point moves",
    "least": "smallest part of a frame's points that may move where a track begins",
    "most": "largest such part",
    "border": "pixels that patches keep from the border of the frame",
    "kept": "smallest part of a track's points that must be found to its end",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ssljax.tools.prepare_video", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("videos", nargs="*", help="files, folders of frames, or folders of either")
    add("--out", required=True, help="the directory to write")
    add("--dataset", default="", help="or the name of a prepared TFDS set")
    add("--data_dir", default="", help="the directory of TFDS sets (TFDS_DATA_DIR)")
    add("--split", default="train", help="of the TFDS set (train)")
    add("--image_key", default="", help="its feature that holds a video, or a frame")
    add("--clip_key", default="", help="where a record is a frame: of which video")
    add("--time_key", default="", help="likewise: when it is shown")
    add("--fps", type=float, default=0.0, help="frames a second that are taken (all)")
    add("--side", type=int, default=_SIDE, help=f"short side in pixels; 0: as it is ({_SIDE})")
    add("--holdout", type=float, default=0.0, help="part of each video, at its end, for test (0)")
    add("--gap", type=int, default=0, help="frames at its beginning in neither split (0)")
    add("--flow", choices=("dis", "farneback"), default="dis", help="how flow is found (dis)")
    add("--parts", default=",".join(PARTS), help=f"what is written ({','.join(PARTS)})")
    add("--jobs", type=int, default=0, help="videos at a time; 0: one a core (0)")
    for rule in _RULES:
        help_ = f"{_TOLD[rule.name]} ({rule.default:g})"
        add(f"--track_{rule.name}", type=type(rule.default), default=rule.default, help=help_)
    return parser


if __name__ == "__main__":
    sys.exit(main())
