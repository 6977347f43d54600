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
`ssljax.tools.motion_voting`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Sequence

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
    if paths.children(out):
        raise UserError(f"{out} is there already, and not empty: name another --out.")
    found = {}
    for split in paths.folders(videos / "flow"):
        counts: Counter[str] = Counter()
        for video in _videos(videos / "flow" / split):
            counts += _of_video(videos, split, video, out / split, recipe)
        found[split] = dict(counts)
    if not any(counts.get("kept") for counts in found.values()):
        raise UserError(
            f"No frame of {videos} is kept ({_told(found)}): lower --least, or see "
            "python -m ssljax.tools.motion_masks --help."
        )
    record = {"recipe": dataclasses.asdict(recipe), "frames": found}
    paths.write(out / RECORD, json.dumps(record, indent=2).encode() + b"\n")
    return found


def _videos(place: paths.Path) -> list[str]:
    """The folders that hold flow, below a split; a video may lie in a folder of several."""
    return sorted({str(file.parent.relative_to(place)) for file in place.rglob("*.png")})


def _of_video(
    videos: paths.Path, split: str, video: str, out: paths.Path, recipe: motion_voting.Recipe
) -> Counter[str]:
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
    files = [there[stem] for stem in flows]
    frames = np.stack([_read_frame(file) for file in files])
    flow = [_read_flow(file) for file in flows.values()]
    agreed, moved = motion_voting.votes(frames, flow, recipe)
    counts: Counter[str] = Counter()
    for file, frame, votes, lengths in zip(files, frames, agreed, moved, strict=True):
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
    return counts


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
