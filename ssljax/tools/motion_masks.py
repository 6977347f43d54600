"""Makes masks of what moves in videos, for `motion_segmentation` to learn from.

python -m ssljax.tools.motion_masks VIDEOS --out MASKS

VIDEOS is what `ssljax.tools.prepare_video` has made: in `frames` a folder for each split, with a
folder of frames for each video, and in `flow` their optical flow under the same names. A frame
without flow, such as the last of a video, gets no mask.

MASKS gets folders `train`, `test`, ..., each with `images` and `masks`: a mask has 1 where
something moves, 0 where nothing does and 255 where that is unsure. `--config.data.name=folder
--config.data.dir=MASKS --config.data.mask_classes=2` reads them. Frames in which too little or too
much moves, or hardly anything is sure, would teach what is wrong, and are left out; how many, and
why, is told and kept in `motion_masks.json`. How motion is found and agreed on is told in
`ssljax.tools.motion_voting`; of a long video some hundred frames agree at a time. Started again
after an interruption the program goes on after the last video that was done.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from ssljax import paths
from ssljax.data.decode import CorruptImage, open_image
from ssljax.data.flow_files import decode_flow
from ssljax.errors import UserError
from ssljax.tools import command, motion_voting

RECORD = "motion_masks.json"
"""The file that says how masks were made, and how many."""
_BEGUN = "motion_masks.begun.json"
"""The same of the videos that are done, until all are."""
_TOGETHER = 256
"""Frames of a video whose masks are made together: more would take too much memory."""
_BESIDE = 32
"""Frames on either side of those that are heard, too: four times `Recipe.time`."""
_OPTIONS = {
    "least": "smallest share of a frame that moves in one that is kept",
    "most": "largest share",
    "most_at_border": "largest share of the pixels near the border that move",
    "most_void": "largest share of a frame that is unsure",
    "motion": "least motion beside the camera's, in pixels a frame",
    "above": "votes above this move",
    "below": "votes below this do not; those between are unsure",
}
"""Numbers of the recipe that the command line can set."""


def make(
    videos: paths.Path, out: paths.Path, recipe: motion_voting.Recipe
) -> dict[str, dict[str, int]]:
    """Makes the masks of all splits.

    Args:
      videos: Where `frames` and `flow` are.
      out: Where the masks go.
      recipe: See `motion_voting.Recipe`.

    Returns:
      By split, how many frames are "kept", and how many are left out, by the reason.

    Raises:
      UserError: If frames or flow are missing or unreadable, or nothing moves in any frame.
    """
    if not (videos / "frames").is_dir() or not (videos / "flow").is_dir():
        raise UserError(
            f"{videos} has no folders frames and flow: make them by "
            "python -m ssljax.tools.prepare_video, with flow."
        )
    done = _begin(out, recipe)
    found = {}
    for split in paths.folders(videos / "flow"):
        counts: Counter[str] = Counter()
        for video in _videos(videos / "flow" / split):
            name = f"{split}/{video}"
            if name not in done:
                done[name] = _of_video(videos, split, video, out / split, recipe)
                _record(out / _BEGUN, recipe, done)
            counts.update(done[name])
        found[split] = dict(counts)
    if not any(counts.get("kept") for counts in found.values()):
        (out / _BEGUN).unlink(missing_ok=True)
        raise UserError(
            f"No frame of {videos} is kept ({_told(found)}): lower --least, or see "
            "python -m ssljax.tools.motion_masks --help."
        )
    _record(out / RECORD, recipe, found)
    (out / _BEGUN).unlink(missing_ok=True)
    return found


def _begin(out: paths.Path, recipe: motion_voting.Recipe) -> dict[str, dict[str, int]]:
    """What was counted of the videos that are done, by their paths; makes the directory."""
    there = paths.children(out)
    if _BEGUN in there and RECORD not in there:
        begun = json.loads(paths.read(out / _BEGUN))
        if begun["recipe"] != dataclasses.asdict(recipe):
            raise UserError(
                f"{out} was begun with other numbers: use the same options, or another --out."
            )
        found: dict[str, dict[str, int]] = begun["frames"]
        return found
    if there:
        raise UserError(f"{out} is there already, and not empty: name another --out.")
    paths.make_directory(out)
    return {}


def _record(file: paths.Path, recipe: motion_voting.Recipe, frames: dict[str, Any]) -> None:
    record = {"recipe": dataclasses.asdict(recipe), "frames": frames}
    paths.write(file, json.dumps(record, indent=2).encode() + b"\n")


def _videos(place: paths.Path) -> list[str]:
    """The folders that hold flow, below a split; a video may lie in a folder of several."""
    return sorted({str(file.parent.relative_to(place)) for file in place.rglob("*.png")})


def _of_video(
    videos: paths.Path, split: str, video: str, out: paths.Path, recipe: motion_voting.Recipe
) -> dict[str, int]:
    """Writes the frames of a video that are kept, and their masks; counts all."""
    flows, there = (
        {file.stem: file for file in sorted((videos / kind / split / video).iterdir())}
        for kind in ("flow", "frames")
    )
    if not flows or not flows.keys() <= there.keys():
        raise UserError(
            f"{videos / 'flow' / split / video} does not belong to the frames of the same name: "
            "prepare the videos anew."
        )
    counts: Counter[str] = Counter()
    pairs = [(there[stem], file) for stem, file in flows.items()]
    for heard, told in _parts(len(pairs)):
        files = [file for file, _ in pairs[heard]]
        frames = np.stack([_read_frame(file) for file in files])
        flow = [_read_flow(file) for _, file in pairs[heard]]
        agreed, moved = motion_voting.votes(frames, flow, recipe)
        whole = list(zip(files, frames, agreed, moved, strict=True))
        for file, frame, votes, lengths in whole[told]:
            mask = motion_voting.mask_of(frame, votes, recipe)
            why = motion_voting.why_left_out(mask, votes, lengths, recipe)
            counts[why or "kept"] += 1
            if why:
                continue
            for kind in ("images", "masks"):
                paths.make_directory(out / kind / video)
            paths.write(out / "images" / video / file.name, paths.read(file))
            encoded = cv2.imencode(".png", mask)[1].tobytes()
            paths.write(out / "masks" / video / f"{file.stem}.png", encoded)
    return dict(counts)


def _parts(count: int) -> Iterator[tuple[slice, slice]]:
    """Which frames of so many are heard together, and which of those are told."""
    together = count if count <= _TOGETHER + _BESIDE else _TOGETHER
    for begin in range(0, count, together):
        first = max(0, begin - _BESIDE)
        heard = slice(first, begin + together + _BESIDE)
        yield heard, slice(begin - first, begin - first + together)


def _read_frame(file: paths.Path) -> UInt8[np.ndarray, "height width 3"]:
    try:
        return open_image(paths.read(file), channels=3)
    except CorruptImage as error:
        raise UserError(f"{file} cannot be read as an image: {error}.") from error


def _read_flow(file: paths.Path) -> Float32[np.ndarray, "height width 2"]:
    try:
        return decode_flow(paths.read(file))
    except CorruptImage as error:
        raise UserError(f"{file} cannot be read as optical flow: {error}.") from error


def _told(found: dict[str, dict[str, int]]) -> str:
    return "; ".join(
        f"{split}: " + ", ".join(f"{count} {why}" for why, count in sorted(counts.items()))
        for split, counts in found.items()
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Those after the program's name; by default the command line's.

    Returns:
      The exit status: 0, or 2 after a mistake in the input.
    """
    options = _parser().parse_args(arguments)
    return command.answer(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    numbers = {name: getattr(options, name) for name in _OPTIONS}
    for name, number in numbers.items():
        if not 0 <= number <= (np.inf if name == "motion" else 1):
            wanted = "0 or more" if name == "motion" else "from 0 to 1"
            raise UserError(f"--{name} is {number}; it must be {wanted}.")
    if options.below > options.above:
        raise UserError(f"--below is {options.below}, which is more than --above {options.above}.")
    recipe = motion_voting.Recipe(**numbers)
    found = make(paths.resolve(options.videos), paths.resolve(options.out), recipe)
    print(f"{_told(found)}; wrote {options.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ssljax.tools.motion_masks", description=__doc__.splitlines()[0]
    )
    parser.add_argument("videos", help="what ssljax.tools.prepare_video has made, with flow")
    parser.add_argument("--out", required=True, help="the directory to write")
    for name, told in _OPTIONS.items():
        default = getattr(motion_voting.Recipe, name)
        parser.add_argument(
            f"--{name}", type=float, metavar="X", default=default, help=f"{told} ({default:g})"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
