"""What is written of videos: frames, optical flow, tracks and how much moves."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from ssljax import paths
from ssljax.data.decode import CorruptImage, open_image
from ssljax.data.fit import resize_pixels
from ssljax.data.flow_files import encode_flow
from ssljax.data.sources.motion import MOTION_FILE, MOTION_HEADER
from ssljax.errors import UserError
from ssljax.tools.video_motion import FlowMethod, MotionFinder
from ssljax.tools.video_tracks import Rules, TrackMiner

PARTS = ("frames", "flow", "tracks")
SPLITS = ("train", "test")
_SETTINGS, _DONE = "settings.json", "done"
_QUALITY = 95

Pixels = UInt8[np.ndarray, "height width 3"]


@runtime_checkable
class Frames(Protocol):
    """A video: see `ssljax.data.videos` and `ssljax.data.sources.tfds_videos`."""

    def count(self) -> int:
        """The number of frames."""
        ...

    def iterate(self, numbers: Iterable[int]) -> Iterator[bytes | np.ndarray]:
        """Yields some frames, ascending."""
        ...


@dataclasses.dataclass(frozen=True)
class Settings:
    """How videos are prepared.

    Attributes:
      fps: Frames a second that are taken; 0 for all.
      side: Pixels of the short side, to which larger frames are reduced; 0 for their own.
      holdout: The part of each video, at its end, that is kept for the split "test".
      gap: Frames at the beginning of that part that are in neither split.
      flow: See `MotionFinder`.
      parts: Which of `PARTS` are written.
      tracks: Which tracks.
    """

    fps: float
    side: int
    holdout: float
    gap: int
    flow: FlowMethod
    parts: tuple[str, ...]
    tracks: Rules


class Told(NamedTuple):
    """What was written of a video, by split: how many frames, and how many tracks."""

    frames: dict[str, int]
    tracks: dict[str, int]


class Output:
    """A directory of prepared videos.

    A video is done when it has a file in `done`, which is written last; one that was interrupted
    has none, and is made anew. Every file appears whole.
    """

    def __init__(self, directory: Path, settings: Settings) -> None:
        """Opens a directory, or makes it.

        Args:
          directory: On a disk.
          settings: Which must be the same for all videos there.

        Raises:
          UserError: It was made with other settings, or holds something else.
        """
        self._root = directory
        self._settings = settings
        plain = json.loads(json.dumps(dataclasses.asdict(settings)))
        file = directory / _SETTINGS
        if file.exists():
            before = json.loads(file.read_text())
            if before != plain:
                raise UserError(
                    f"{directory} holds videos that were prepared otherwise "
                    f"({_difference(before, plain)}): use the same options, or another --out."
                )
            return
        there = [name for name in PARTS if (directory / name).exists()]
        if there:
            raise UserError(
                f"{directory / there[0]} exists and was not made by this program: choose another "
                "--out."
            )
        paths.make_directory(directory)
        paths.write(file, json.dumps(plain, indent=2))

    def check_names(self, names: Iterable[str]) -> None:
        """Checks that each video has folders of its own, beside those that are done.

        Args:
          names: Of videos.

        Raises:
          UserError: A name is no path below the directory, or a video would lie within another.
        """
        done = self._root / _DONE
        markers = (file.relative_to(done).as_posix() for file in done.rglob("*.json"))
        check_names([*names, *(marker.removesuffix(".json") for marker in markers)])

    def is_done(self, name: str) -> bool:
        """Whether a video is there as a whole."""
        return self._marker(name).exists()

    def write(
        self, name: str, video: Frames, numbers: Sequence[int], stop: threading.Event
    ) -> Told | None:
        """Writes all of a video.

        Args:
          name: Of the folders for it; of several levels where it has slashes.
          video: The frames.
          numbers: Of those that are taken, ascending.
          stop: When set the work is given up.

        Returns:
          What was written; None where it was given up.

        Raises:
          CorruptImage: A frame cannot be decoded, or has another size.
        """
        self.remove(name)
        try:
            told, scores = Told({}, {}), dict[str, float]()
            for split, places in zip(SPLITS, self._split(len(numbers)), strict=True):
                frames, tracks = 0, 0
                taken = (numbers[place] for place in places)
                for step in self._steps(f"{split}/{name}", places, video.iterate(taken)):
                    if stop.is_set():
                        self.remove(name)
                        return None
                    frames, tracks = frames + 1, tracks + step.tracks
                    scores |= step.scores
                told.frames[split], told.tracks[split] = frames, tracks
        except BaseException:
            self.remove(name)
            raise
        marker = self._marker(name)
        paths.make_directory(marker.parent)
        paths.write(marker, json.dumps({**told._asdict(), "motion": scores}))
        return told

    def remove(self, name: str) -> None:
        """Removes what is there of a video."""
        self._marker(name).unlink(missing_ok=True)
        for part in PARTS:
            for split in SPLITS:
                shutil.rmtree(self._root / part / split / name, ignore_errors=True)

    def write_motion(self) -> None:
        """Writes how much moves in each frame of the videos that are done."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(MOTION_HEADER)
        for marker in sorted((self._root / _DONE).rglob("*.json")):
            scores = json.loads(marker.read_text())["motion"]
            table.writerows((file, f"{score:.4f}") for file, score in scores.items())
        if (self._root / "frames").is_dir():
            paths.write(self._root / "frames" / MOTION_FILE, text.getvalue())

    def _marker(self, name: str) -> Path:
        return self._root / _DONE / f"{name}.json"

    def _split(self, count: int) -> tuple[range, range]:
        """The places of the frames of each split."""
        end = count - round(self._settings.holdout * count)
        return range(end), range(
            min(count, end + self._settings.gap) if end < count else end, count
        )

    def _steps(
        self, folder: str, places: range, frames: Iterator[bytes | np.ndarray]
    ) -> Iterator[_Step]:
        """Writes the frames of one split, and what lies between each and the one before."""
        rules, parts = self._settings, self._settings.parts
        finder, miner = MotionFinder(rules.flow), TrackMiner(rules.tracks)
        before: tuple[Pixels, np.ndarray, str] | None = None
        for place, raw in zip(places, frames, strict=True):
            pixels = _shrink(open_image(raw, channels=3), rules.side)
            grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
            name = f"{folder}/{place:05d}"
            if "frames" in parts:
                self._write(f"frames/{name}.jpg", encode_jpeg(pixels))
            step = _Step()
            if before is not None:
                last, last_grey, last_name = before
                if last.shape != pixels.shape:
                    raise CorruptImage(f"its frame {place} has another size than those before")
                motion = finder.find(last_grey, grey)
                step.scores[f"{last_name}.jpg"] = motion.score
                if "flow" in parts:
                    self._write(f"flow/{last_name}.png", encode_flow(motion.flow))
                if "tracks" in parts:
                    for pair in miner.feed(last, last_grey, grey, pixels, motion):
                        step.tracks += 1
                        track = f"tracks/{folder}/{places[pair.start]:05d}"
                        self._write(f"{track}/0.jpg", encode_jpeg(pair.first))
                        self._write(f"{track}/1.jpg", encode_jpeg(pair.last))
            before = pixels, grey, name
            yield step

    def _write(self, name: str, content: bytes) -> None:
        file = self._root / name
        paths.make_directory(file.parent)
        paths.write(file, content)


@dataclasses.dataclass
class _Step:
    """What came of one frame."""

    tracks: int = 0
    scores: dict[str, float] = dataclasses.field(default_factory=dict)


def check_names(names: Iterable[str]) -> None:
    """Checks that each video has folders of its own, as of all that lies in one it is made anew.

    Args:
      names: Of videos; some may stand there twice.

    Raises:
      UserError: A name is no path below a directory, or a video would lie within another.
    """
    known = set(names)
    for name in sorted(known):
        parts = name.split("/")
        if not {"", ".", ".."}.isdisjoint(parts):
            raise UserError(f"A video is called {name!r}, which names no folder: rename it.")
        for count in range(1, len(parts)):
            above = "/".join(parts[:count])
            if above in known:
                raise UserError(
                    f"The video {name!r} would be written within the folder of the video "
                    f"{above!r}: rename one of them, or use another --out."
                )


def encode_jpeg(pixels: Pixels) -> bytes:
    """Encodes red, green and blue."""
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _shrink(pixels: UInt8[np.ndarray, "_ _ 3"], side: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """A frame whose short side is no longer than this."""
    height, width = pixels.shape[:2]
    if not 0 < side < min(height, width):
        return pixels
    factor = side / min(height, width)
    return resize_pixels(pixels, round(factor * height), round(factor * width))


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The settings that differ, in words."""
    changed = [key for key in now if before.get(key) != now[key]]
    return ", ".join(f"{key}: {before.get(key)} before, {now[key]} now" for key in changed)
