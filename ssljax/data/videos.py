"""Video files, of which single frames are decoded."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import re
from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from ssljax import paths
from ssljax.data.decode import CorruptImage
from ssljax.data.sources.layout import read_file
from ssljax.errors import UserError, brief

SUFFIXES = (".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv")
"""The endings of the files that are taken for videos."""

_PLAIN_RATE, _ROUNDING = 25.0, 0.02
_QUARTER = 90
_LEAST_MISSING_S = 0.25

_DURATION = re.compile(r"(\d+):(\d+):([\d.]+)")

Pixels = UInt8[np.ndarray, "height width 3"]


class Index(NamedTuple):
    """Where the frames of a file are.

    Attributes:
      times: When each is shown, in units of the stream, ascending; empty where the container does
        not tell, and frames can only be counted from the beginning.
      keys: Numbers of the frames at which decoding can begin, ascending.
      found: How many frames there are.
      said: How many there should be.
    """

    times: np.ndarray
    keys: np.ndarray
    found: int
    said: int


class VideoFile:
    """A file whose frames are numbered from 0, in the order in which they are shown.

    Frames that an edit list hides are frames like others. Frames are turned as the file says.

    Attributes:
      path: Where it lies.
    """

    def __init__(self, path: paths.Path) -> None:
        """Opens nothing yet.

        Args:
          path: On a disk or in a bucket.

        Raises:
          UserError: PyAV is not installed.
        """
        require_av()
        self.path = path
        self._index: Index | None = None

    def count(self) -> int:
        """The number of frames: as its header says, or else counted without decoding any.

        Raises:
          CorruptImage: The file cannot be opened.
        """
        with self._open() as (container, stream):
            if stream.frames > 0:
                return int(stream.frames)
            self._index = _make_index(container, stream)
        if not self._index.said:
            raise CorruptImage("no frame of it can be read")
        return self._index.said

    def seconds(self) -> list[float]:
        """When each frame is shown, in seconds from the first.

        Raises:
          CorruptImage: The file cannot be opened.
        """
        with self._open() as (container, stream):
            index = _make_index(container, stream)
            if not len(index.times):
                rate = float(stream.average_rate or _PLAIN_RATE)
                return [number / rate for number in range(index.found)]
            return (float(stream.time_base) * (index.times - index.times[0])).tolist()

    @property
    def title(self) -> str:
        """Its path."""
        return str(self.path)

    def describe(self, number: int) -> str:
        """Names a frame."""
        return f"frame {number} of {self.path}"

    def read(self, numbers: Iterable[int]) -> list[Pixels]:
        """Decodes some frames: see `iterate`."""
        return list(self.iterate(numbers))

    def iterate(self, numbers: Iterable[int]) -> Generator[Pixels, None, None]:
        """Decodes some frames one after another, and of the others those that these build on.

        Args:
          numbers: Of the frames, ascending.

        Yields:
          The pixels of each, red, green and blue.

        Raises:
          CorruptImage: The file cannot be opened, or ends before one of them, or it is damaged.
        """
        if self._index is None:
            # Of a file that was cut short nothing can be read any more after its end was met.
            with self._open() as (container, stream):
                self._index = _make_index(container, stream)
        with self._open() as (container, stream):
            cursor = _Cursor(container, stream, self._index)
            for number in numbers:
                frame = cursor.find(number)
                pixels = frame.to_ndarray(format="rgb24")
                turns = round(frame.rotation / _QUARTER) % 4
                yield np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

    @contextlib.contextmanager
    def _open(self) -> Generator[tuple[Any, Any], None, None]:
        """The file and its first stream of pictures; what PyAV raises becomes `CorruptImage`."""
        import av

        with contextlib.ExitStack() as stack:
            try:
                place: Any = str(self.path)
                if paths.is_remote(self.path):
                    place = stack.enter_context(self.path.open("rb"))
                container = stack.enter_context(
                    av.open(place, options={"ignore_editlist": "1"}, metadata_errors="replace")
                )
                if not container.streams.video:
                    raise CorruptImage("it holds no pictures")
                stream = container.streams.video[0]
                # Videos are decoded in parallel by our own threads.
                stream.codec_context.thread_count = 1
                yield container, stream
            except av.FFmpegError as error:
                raise CorruptImage(error.strerror or brief(error)) from error


class _Cursor:
    """Decodes forward, and jumps to where decoding can begin when that is nearer."""

    def __init__(self, container: Any, stream: Any, index: Index) -> None:
        self._container = container
        self._stream = stream
        self._index = index
        self._frames = container.decode(stream)
        self._last = -1

    def find(self, number: int) -> Any:
        """Decodes up to a frame, whose number is above that of the one before."""
        if number >= self._index.found:
            raise CorruptImage(self._end())
        keys = self._index.keys[: np.searchsorted(self._index.keys, number, side="right")].tolist()
        if keys and keys[-1] > self._last + 1:
            # Some streams can be decoded only from further back than they say.
            for key in (*keys[-2:][::-1], 0):
                self._jump(key)
                if (frame := self._forward(number)) is not None:
                    return frame
        elif (frame := self._forward(number)) is not None:
            return frame
        raise CorruptImage(f"its frame {number} is missing: {self._end()}")

    def _jump(self, key: int) -> None:
        self._container.seek(int(self._index.times[key]), stream=self._stream)
        self._frames = self._container.decode(self._stream)
        self._last = -1

    def _forward(self, number: int) -> Any:
        """The frame, or None when decoding has come past it or to the end."""
        times = self._index.times
        for frame in self._frames:
            known = len(times) > 0 and frame.pts is not None
            here = int(np.searchsorted(times, frame.pts)) if known else self._last + 1
            self._last = here
            if here == number:
                if frame.is_corrupt:
                    raise CorruptImage(f"its frame {number} is damaged")
                return frame
            if here > number:
                break
        return None

    def _end(self) -> str:
        """What is told of a file that ends too early."""
        return f"{self._index.found} of its {self._index.said} frames can be read"


def _make_index(container: Any, stream: Any) -> Index:
    """Reads all packets of a stream, and decodes none."""
    packets = [
        (packet.pts, packet.is_keyframe) for packet in container.demux(stream) if packet.size
    ]
    found = len(packets)
    known = [time for time, _ in packets]
    # AVI numbers its packets as they are stored, which is not how they are shown.
    stored = container.format.name == "avi" and stream.codec_context.has_b_frames
    if stored or None in known or len(set(known)) < found:
        nothing = np.zeros(0, np.int64)
        return Index(nothing, nothing, found, max(found, stream.frames))
    order = sorted(packets)
    times = np.array([time for time, _ in order], np.int64)
    keys = np.array([number for number, (_, key) in enumerate(order) if key], np.int64)
    missing = _missing(stream, float(stream.time_base) * times)
    return Index(times, keys, found, max(found + missing, stream.frames))


def _missing(stream: Any, seconds: np.ndarray) -> int:
    """Frames that Matroska's files lack whose stream goes on for long after its last one."""
    told = _DURATION.match(stream.metadata.get("DURATION", ""))
    if told is None or len(seconds) < 2:
        return 0
    hours, minutes, rest = (float(part) for part in told.groups())
    steps = np.diff(seconds)
    left = 3600 * hours + 60 * minutes + rest - seconds[-1]
    return round(left / steps.mean()) - 1 if left > max(_LEAST_MISSING_S, 2 * steps.max()) else 0


def require_av() -> None:
    """Raises a `UserError` where PyAV is not installed."""
    if importlib.util.find_spec("av") is None:
        raise UserError("Video files are read by PyAV: pip install 'ssljax[video]'.")


def is_video(path: str) -> bool:
    """Whether a file is taken for a video, by its name."""
    return path.lower().endswith(SUFFIXES)


def spread(seconds: Sequence[float], rate: float) -> list[int]:
    """Numbers of the frames that show a video at a lower rate.

    Args:
      seconds: When each frame is shown, ascending from 0.
      rate: Frames a second.

    Returns:
      The first frame at or after each multiple of 1 / rate, without repetition.

    Examples:
      >>> spread([0.0, 0.04, 0.08, 0.12, 0.16], rate=12.5)
      [0, 2, 4]
    """
    kept: list[int] = []
    tick = 0
    for number, second in enumerate(seconds):
        # A part of a tick is left for times that are rounded to milliseconds.
        passed = math.floor(second * rate + _ROUNDING)
        if passed >= tick:
            kept.append(number)
            tick = passed + 1
    return kept


class FrameFiles:
    """A video whose frames are image files."""

    def __init__(self, root: paths.Path, files: Sequence[str]) -> None:
        """Names the files.

        Args:
          root: The directory that they lie below.
          files: Paths below it, in the order of time.
        """
        self._root = root
        self.files = files

    def count(self) -> int:
        """The number of frames."""
        return len(self.files)

    @property
    def title(self) -> str:
        """The path of the folder."""
        return os.path.dirname(self.describe(0))

    def describe(self, number: int) -> str:
        """The path of a frame."""
        return str(self._root / self.files[number])

    def read(self, numbers: Iterable[int]) -> list[bytes]:
        """Reads some frames, still encoded: see `iterate`."""
        return list(self.iterate(numbers))

    def iterate(self, numbers: Iterable[int]) -> Generator[bytes, None, None]:
        """Reads some frames one after another.

        Args:
          numbers: Of the frames.

        Yields:
          The bytes of each file.

        Raises:
          UserError: A file cannot be read.
        """
        for number in numbers:
            yield read_file(self._root / self.files[number])
