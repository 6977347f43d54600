"""What moves from one frame of a video to the next, beside the camera."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

_opencv: Any = cv2  # Its types lack what is newer, and arrays that it makes itself.

FlowMethod = Literal["dis", "farneback"]

Grey = UInt8[np.ndarray, "height width"]
Flow = Float32[np.ndarray, "height width 2"]
Points = Float32[np.ndarray, "_ 2"]

_FEWEST_MATCHES = 8
_RATIO = 0.75
"""Of the distances of the nearest and the second nearest descriptor, above which there is no match.

Lowe, Distinctive Image Features from Scale-Invariant Keypoints, 2004, section 7.1, has 0.8.
"""
_RANSAC_PIXELS = 1.0
_NO_DESCRIPTORS = np.zeros((0, 128), np.float32)
_GRID = 8
"""Pixels between the places whose flow stands in for interest points where there are few."""


class Motion(NamedTuple):
    """The motion from a frame to the next.

    Attributes:
      flow: In each place, by how many pixels what is seen there moves to the right, and downwards.
      residual: The same, less what the camera's motion explains.
      points: Interest points of the frame, (x, y).
      moves: The residual at each point.
      inside: Where the next frame shows what is seen here, as far as the camera's motion says.
    """

    flow: Flow
    residual: Flow
    points: Points
    moves: Points
    inside: Bool[np.ndarray, "height width"]

    @property
    def score(self) -> float:
        """Mean length of the residual, in pixels, where the next frame shows what is seen here."""
        lengths = np.linalg.norm(self.residual, axis=2)
        return float(lengths[self.inside].mean()) if self.inside.any() else 0.0


class MotionFinder:
    """Finds optical flow, and the camera's part in it.

    Interest points are SIFT's: those of SURF, which Wang and Gupta take, are patented and in no
    build of OpenCV for all. Points are matched with those of the next frame by their descriptors,
    and joined with where the flow takes them, as improved dense trajectories are (Wang and Schmid,
    Action Recognition with Improved Trajectories, 2013, section 3.1). The homography that most of
    these pairs agree with (RANSAC) is taken for the motion of the camera.
    """

    def __init__(self, method: FlowMethod = "dis") -> None:
        """Makes the estimators.

        Args:
          method: "dis": Kroeger et al., Fast Optical Flow using Dense Inverse Search, 2016, in
            OpenCV's medium setting; "farneback": Farnebäck, Two-Frame Motion Estimation Based on
            Polynomial Expansion, 2003.
        """
        self._method = method
        self._dis = _opencv.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._sift = _opencv.SIFT_create()
        self._known: tuple[Grey | None, tuple] = None, ()

    def find(self, frame: Grey, following: Grey) -> Motion:
        """Finds the motion from a frame to the one after it.

        Args:
          frame: Levels of grey.
          following: The next frame, of the same size.
        """
        flow = self._flow(frame, following)
        points, matched, targets = self._match(frame, following)
        camera = find_camera(flow, points, matched, targets)
        height, width = frame.shape
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        places = np.stack([columns, rows], axis=2).astype(np.float32)
        seen = cv2.perspectiveTransform(places.reshape(-1, 1, 2), camera).reshape(places.shape)
        inside: Any = ((seen > -0.5) & (seen < [width - 0.5, height - 0.5])).all(axis=2)
        residual = flow - (seen - places)
        return Motion(flow, residual, points, _at(residual, points), inside)

    def _flow(self, frame: Grey, following: Grey) -> Flow:
        if self._method == "dis":
            return self._dis.calc(frame, following, None)
        return _opencv.calcOpticalFlowFarneback(frame, following, None, 0.5, 4, 15, 3, 5, 1.1, 0)

    def _match(self, frame: Grey, following: Grey) -> tuple[Points, Points, Points]:
        """Points of the frame; those of them that are found again, and where."""
        (points, here), (found, there) = self._interest(frame), self._interest(following)
        if len(points) < 2 or len(found) < 2:
            return points, points[:0], points[:0]
        pairs = cv2.BFMatcher().knnMatch(here, there, k=2)
        good = [first for first, second in pairs if first.distance < _RATIO * second.distance]
        return (
            points,
            points[[match.queryIdx for match in good]],
            found[[match.trainIdx for match in good]],
        )

    def _interest(self, frame: Grey) -> tuple[Points, np.ndarray]:
        """Interest points and their descriptors, which are kept for the next call."""
        if self._known[0] is not frame:
            found, described = self._sift.detectAndCompute(frame, None)
            points = np.array([point.pt for point in found], np.float32).reshape(-1, 2)
            self._known = frame, (points, _NO_DESCRIPTORS if described is None else described)
        return self._known[1]


def find_camera(
    flow: Flow, points: Points, matched: Points, targets: Points
) -> Float64[np.ndarray, "3 3"]:
    """Estimates the camera's motion as a homography of (x, y, 1).

    Args:
      flow: From the frame to the next.
      points: Interest points of the frame.
      matched: Points that are found again in the next.
      targets: Where.

    Returns:
      The homography; the identity where nothing can be said.
    """
    if len(points) < _FEWEST_MATCHES:
        rows, columns = (np.arange(_GRID // 2, size, _GRID) for size in flow.shape[:2])
        points = np.stack(np.meshgrid(columns, rows), axis=2).reshape(-1, 2).astype(np.float32)
    start = np.concatenate([points, matched])
    end = np.concatenate([points + _at(flow, points), targets])
    if len(start) < _FEWEST_MATCHES:
        return np.eye(3)
    camera, _ = cv2.findHomography(start, end, cv2.RANSAC, _RANSAC_PIXELS)
    return np.eye(3) if camera is None or not np.isfinite(camera).all() else camera


def _at(values: Flow, points: Points) -> Points:
    """The values at points, of the nearest pixel."""
    places = np.rint(points).astype(int)
    limits = np.array([values.shape[1] - 1, values.shape[0] - 1])
    columns, rows = np.clip(places, 0, limits).T
    return values[rows, columns]
