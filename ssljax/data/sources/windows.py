"""Clips as windows on videos: where they begin, and what is read of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from ssljax.data.decode import CorruptImage
from ssljax.data.fields import Parts
from ssljax.data.pipeline import default_threads


@runtime_checkable
class Video(Protocol):
    """Frames, numbered from 0 in the order of time, of which single ones can be read.

    Attributes:
      title: What the video is called in messages.
    """

    @property
    def title(self) -> str:
        """What the video is called in messages."""
        ...

    def count(self) -> int:
        """The number of frames; raises a `CorruptImage` where that cannot be known."""
        ...

    def read(self, numbers: Iterable[int]) -> list[bytes] | list[np.ndarray]:
        """Reads some frames, ascending; raises a `CorruptImage` where that is impossible."""
        ...

    def describe(self, number: int) -> str:
        """Names a frame."""
        ...


class Windows:
    """The clips of some videos, video by video and in the order of time.

    A clip is `parts.frames` frames, `parts.stride` frames from one to the next. From the beginning
    of a clip to that of the next one there are `parts.hop` frames, or, with 0, as many as the clip
    spans. A video that cannot be opened is one clip, of which a reader learns what is wrong.

    Attributes:
      span: Frames from the first of a clip to its last, with both.
      video: Of each clip the number of its video.
      first: Of each clip the number of its first frame.
    """

    def __init__(self, videos: Sequence[Video], parts: Parts) -> None:
        """Counts the frames of all videos.

        Args:
          videos: The videos.
          parts: Frames, stride and hop of the clips.
        """
        self._videos = videos
        self._frames, self._stride = parts.frames, parts.stride
        self.span = (parts.frames - 1) * parts.stride + 1
        self._broken: dict[int, CorruptImage] = {}
        with ThreadPoolExecutor(default_threads()) as pool:
            counts = list(pool.map(self._count, range(len(videos))))
        self._short = [count for count in counts if 0 <= count < self.span]
        hop = parts.hop or self.span
        starts = [
            np.arange(0, (self.span if count < 0 else count) - self.span + 1, hop)
            for count in counts
        ]
        sizes = [len(each) for each in starts]
        self.video = np.repeat(np.arange(len(videos)), sizes)
        self.first = np.concatenate(starts) if starts else np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.video)

    def keep_moving(
        self, part: float, motion: Callable[[int], Float[np.ndarray, "frames"]]
    ) -> None:
        """Leaves out the clips in which least moves.

        Args:
          part: Of all clips, that is kept; at least one is.
          motion: Gives of a video how much moves from each of its frames to the next.
        """
        scores = np.zeros(len(self))
        for video in np.unique(self.video):
            rows = np.flatnonzero(self.video == video)
            sums = np.concatenate([[0.0], np.cumsum(motion(int(video)))])
            steps = max(1, self.span - 1)
            scores[rows] = (sums[self.first[rows] + steps] - sums[self.first[rows]]) / steps
        best = np.argsort(-scores, kind="stable")[: max(1, round(part * len(self)))]
        kept = np.sort(best)
        self.video, self.first = self.video[kept], self.first[kept]

    def read(self, index: int) -> Any:
        """Reads the frames of a clip: as `Clip` takes them."""
        video, first = int(self.video[index]), int(self.first[index])
        if video in self._broken:
            return self._broken[video]
        try:
            return self._videos[video].read(range(first, first + self.span, self._stride))
        except CorruptImage as error:
            return error

    def describe(self, index: int) -> str:
        """Names a clip by its first frame."""
        video = self._videos[int(self.video[index])]
        return f"The clip of {self._frames} frames from {video.describe(int(self.first[index]))}"

    def holder(self, index: int) -> str:
        """Names the video of a clip."""
        return f"The video {self._videos[int(self.video[index])].title}"

    def left_out(self) -> list[str]:
        """Says how many videos are too short, and how long they are."""
        if not self._short:
            return []
        low, high = min(self._short), max(self._short)
        if len(self._short) == 1:
            told = f"1 video of {low} frames is"
        else:
            frames = f"{low}" if low == high else f"{low} to {high}"
            told = f"{len(self._short):,} videos of {frames} frames are"
        return [f"{told} shorter than {self.told_span()} and left out"]

    def told_span(self) -> str:
        """What a clip is, in words."""
        strided = f" ({self.span} with its stride)" if self._stride > 1 else ""
        return f"a clip of {self._frames} frames{strided}"

    def _count(self, video: int) -> int:
        """Frames of a video; -1 where it cannot be opened."""
        try:
            return self._videos[video].count()
        except CorruptImage as error:
            self._broken[video] = error
            return -1
