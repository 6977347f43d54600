"""Pictures of a run within a page, of which all together take no more than so many bytes."""

from __future__ import annotations

import base64
from typing import NamedTuple

import cv2
import numpy as np

from ssljax import paths
from ssljax.page.record import File

LARGEST = 6_000_000
"""Bytes of all pictures of a page, as they are encoded there."""
_OF_ONE = 900_000
_SIDE = 1400
_SHOWN = 640
"""Pixels a side up to which small pictures are enlarged on the screen."""
_MOST_ENLARGED = 4
_QUALITY = 88

_CAPTIONS = {
    "embedding_map": "Map of embeddings: images where the map has them",
    "filters": "The first filters: bright above 0, dark below",
    "interpolations": "In each row the images of the codes between its first and its last",
    "neighbors": "In each row a generated image, and the training images at the smallest distance",
    "pretext": "The pretext task: in each row what was asked of an image, then what was answered",
    "real_and_samples": "Real images, and generated ones",
    "sampled": "Images that were sampled",
    "samples": "Images that the generator draws",
}
_NEIGHBORS = "neighbors_"


class Shown(NamedTuple):
    """A picture of a page.

    Attributes:
      uri: It holds the picture itself.
      caption: What is seen.
      width: Pixels across on the screen, at most.
      height: Pixels down at that width.
      enlarged: Whether its own pixels are larger than the screen's.
    """

    uri: str
    caption: str
    width: int
    height: int
    enlarged: bool


class Album:
    """Takes pictures into a page as long as there is room.

    Attributes:
      left_out: Names of files for which there was none, or that are no pictures.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._room = largest
        self.left_out: list[str] = []

    def take(self, file: File) -> Shown | None:
        """A picture as it is, or smaller where it is large; None if it is left out.

        Args:
          file: Of the picture, a PNG file.
        """
        name = f"{file.path.parent.name}/{file.path.name}"
        try:
            content = paths.read(file.path)
        except OSError:
            content = b""
        read = (
            cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
            if content
            else None
        )
        if read is None or not read.size:
            self.left_out.append(name)
            return None
        kind, content, (height, width) = _fitted(content, read)
        uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        if len(uri) > self._room:
            self.left_out.append(name)
            return None
        self._room -= len(uri)
        times = max(1, min(_MOST_ENLARGED, _SHOWN // max(width, height)))
        return Shown(uri, caption(file), times * width, times * height, times > 1)


def caption(file: File) -> str:
    """What a picture of a kind shows, and after how many steps."""
    known = _CAPTIONS.get(file.kind)
    if known is None and file.kind.startswith(_NEIGHBORS):
        stage = file.kind.removeprefix(_NEIGHBORS)
        known = (
            f"Nearest neighbours by {stage}: in each row a test image, then the training images at "
            "the smallest angle"
        )
    if known is None:
        known = file.kind.replace("_", " ")
    return f"{known} (step {file.step:,})"


def _fitted(content: bytes, read: np.ndarray) -> tuple[str, bytes, tuple[int, int]]:
    """Kind, content and size of a picture of which no side and no file is too large."""
    height, width = read.shape[:2]
    if max(height, width) <= _SIDE and len(content) <= _OF_ONE:
        return "png", content, (height, width)
    share = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    smaller = cv2.resize(read, size, interpolation=cv2.INTER_AREA) if share < 1 else read
    encoded = cv2.imencode(".png", smaller)[1].tobytes()
    if len(encoded) <= _OF_ONE or smaller.shape[2:] == (4,) or smaller.dtype != np.uint8:
        return "png", encoded, (size[1], size[0])
    jpeg = cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return "jpeg", jpeg, (size[1], size[0])
