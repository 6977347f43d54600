"""Pairs of patches of the same thing, found by tracking what moves in a video."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from ssljax.tools.video_motion import Motion

_opencv: Any = cv2  # Its types lack arrays that it makes itself.

Pixels = UInt8[np.ndarray, "height width 3"]

_FEWEST_MOVING = 4
_CORNERS, _CORNER_QUALITY, _CORNER_DISTANCE = 100, 0.01, 3
_WINDOW, _LEVELS = (9, 9), 3
_MARGIN = np.ones((7, 7), np.uint8)
_BACK_PIXELS = 1.0
"""How far from its place a point may come back that is tracked forwards and backwards."""


@dataclasses.dataclass(frozen=True)
class Rules:
    """What is tracked.

    Attributes:
      length: Frames from the first patch to the last.
      every: Frames from one in which a track may begin to the next.
      box: Side of the patches, a fraction of the frame's short side; Wang and Gupta cut 227 pixels
        of 448.
      moving: Pixels that a point moves from one frame to the next, beside the camera, from which on
        it counts as moving.
      least: The smallest part of a frame's points that may move.
      most: The largest.
      border: Pixels that a patch keeps from the border of the frame: what touches it could be known
        by the border.
      kept: The smallest part of a track's points that must be followed to its end.
    """

    length: int = 30
    every: int = 3
    box: float = 0.5
    moving: float = 0.5
    least: float = 0.25
    most: float = 0.75
    border: int = 1
    kept: float = 0.5


class Pair(NamedTuple):
    """The first and the last patch of a track.

    Attributes:
      first: Pixels of the patch in its first frame.
      last: And in its last.
      start: Number of the first frame, from 0 on.
      corners: (left, top) of both, in pixels of the frame.
    """

    first: Pixels
    last: Pixels
    start: int
    corners: tuple[tuple[int, int], tuple[int, int]]


class _Track(NamedTuple):
    """What is being followed: its first patch, and points of it there and now."""

    start: int
    first: Pixels
    origin: tuple[int, int]
    origins: Float32[np.ndarray, "points 2"]
    points: Float32[np.ndarray, "points 2"]
    corners: int

    @property
    def corner(self) -> tuple[int, int]:
        """(left, top) now: the points have come as far as the patch, in the median."""
        left, top = np.rint(self.origin + np.median(self.points - self.origins, axis=0))
        return int(left), int(top)


class TrackMiner:
    """Mines pairs from a video, frame by frame.

    After Wang and Gupta, Unsupervised Learning of Visual Representations using Videos, 2015,
    section 4.1. A frame in which few of the interest points move is noise, and one in which most do
    is a motion of the camera that was not understood: in both nothing begins. In others the box
    with the most moving points is the first patch.

    Theirs is followed by a tracker with a correlation filter (KCF), which OpenCV's main modules
    lack, as they do weights for the trackers with networks. Here corners inside the box that move
    are followed one by one by Lucas and Kanade's method with pyramids; a point is dropped that does
    not come back when it is followed backwards (Kalal et al., Forward-Backward Error, 2010), and
    the box moves by the median of the others. Its size stays. It is given up when too few points
    are left or when it comes too near to the border.
    """

    def __init__(self, rules: Rules) -> None:
        """Starts before the first frame."""
        self._rules = rules
        self._tracks: deque[_Track] = deque()
        self._number = 0

    def feed(
        self,
        frame: Pixels,
        grey: UInt8[np.ndarray, "height width"],
        following: UInt8[np.ndarray, "height width"],
        after: Pixels,
        motion: Motion,
    ) -> Iterator[Pair]:
        """Goes on from a frame to the next one.

        Args:
          frame: The frame.
          grey: Its levels of grey.
          following: Those of the next.
          after: The next frame.
          motion: From the one to the other.

        Yields:
          The pairs that are complete with the next frame.
        """
        if self._number % self._rules.every == 0 and (track := self._begin(frame, grey, motion)):
            self._tracks.append(track)
        self._number += 1
        followed = [self._follow(track, grey, following) for track in self._tracks]
        self._tracks = deque(track for track in followed if track is not None)
        while self._tracks and self._number - self._tracks[0].start == self._rules.length:
            track = self._tracks.popleft()
            left, top = track.corner
            side = len(track.first)
            last = after[top : top + side, left : left + side].copy()
            yield Pair(track.first, last, track.start, (track.origin, (left, top)))

    def _begin(
        self, frame: Pixels, grey: UInt8[np.ndarray, "height width"], motion: Motion
    ) -> _Track | None:
        """The track that begins in a frame, if one does."""
        rules = self._rules
        moves = np.linalg.norm(motion.moves, axis=1) > rules.moving
        if not len(moves) or not rules.least <= moves.mean() <= rules.most:
            return None
        side = max(2, round(rules.box * min(grey.shape)))
        corner = busiest_box(motion.points[moves], grey.shape, side, rules.border)
        if corner is None:
            return None
        left, top = corner
        moving = np.linalg.norm(motion.residual, axis=2) > rules.moving
        mask = np.zeros(grey.shape, np.uint8)
        mask[top : top + side, left : left + side] = 255
        # At the border of what moves flow is smeared, and a corner is of two things at once.
        mask[cv2.erode(moving.astype(np.uint8), _MARGIN) == 0] = 0
        points = cv2.goodFeaturesToTrack(
            grey, _CORNERS, _CORNER_QUALITY, _CORNER_DISTANCE, mask=mask
        )
        if points is None or len(points) < _FEWEST_MOVING:
            return None
        points = points.reshape(-1, 2)
        first = frame[top : top + side, left : left + side].copy()
        return _Track(self._number, first, corner, points, points, len(points))

    def _follow(
        self,
        track: _Track,
        grey: UInt8[np.ndarray, "height width"],
        following: UInt8[np.ndarray, "height width"],
    ) -> _Track | None:
        """The track in the next frame; None where it is lost."""
        settings = {"winSize": _WINDOW, "maxLevel": _LEVELS}
        there, found, _ = _opencv.calcOpticalFlowPyrLK(
            grey, following, track.points, None, **settings
        )
        back, again, _ = _opencv.calcOpticalFlowPyrLK(following, grey, there, None, **settings)
        kept = (found & again).ravel() > 0
        kept &= np.linalg.norm(back - track.points, axis=1) < _BACK_PIXELS
        if kept.sum() < max(_FEWEST_MOVING, self._rules.kept * track.corners):
            return None
        moved = track._replace(origins=track.origins[kept], points=there[kept])
        room = np.array(grey.shape[::-1]) - len(track.first) - self._rules.border
        corner = np.array(moved.corner)
        inside = (corner >= self._rules.border).all() and (corner <= room).all()
        return moved if inside else None


def busiest_box(
    points: Float32[np.ndarray, "points 2"], shape: tuple[int, ...], side: int, border: int
) -> tuple[int, int] | None:
    """Finds the square with the most points; of several the middle one.

    Args:
      points: (x, y), in pixels.
      shape: Height and width of the frame.
      side: Of the square, in pixels.
      border: Pixels that it keeps from the border of the frame.

    Returns:
      (left, top); None where the frame is too small for it, or it would hold fewer than 4 points.
    """
    counts = np.zeros((shape[0] + 1, shape[1] + 1))
    for x, y in np.rint(points).astype(int):
        counts[1 + min(max(y, 0), shape[0] - 1), 1 + min(max(x, 0), shape[1] - 1)] += 1
    sums = counts.cumsum(axis=0).cumsum(axis=1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    inside = inside[border : len(inside) - border, border : inside.shape[1] - border]
    if not inside.size or inside.max() < _FEWEST_MOVING:
        return None
    rows, columns = np.nonzero(inside == inside.max())
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(columns[middle]) + border, int(rows[middle]) + border
