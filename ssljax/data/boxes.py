"""The field of boxes: things in an image, each with its class."""

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

from ssljax.data.decode import Misfit
from ssljax.data.fields import NOTHING, Frame, check_range
from ssljax.data.fit import fit_boxes

_SLACK = 1.0
"""Pixels by which a box may reach beyond its image, as some sets round or count a far side in."""


class Things(NamedTuple):
    """What a source has read of the things in an image.

    Attributes:
      boxes: (top, left, bottom, right) as fractions of the image's height and width, (N, 4), as
        TFDS has them.
      classes: N integers.
      crowd: Which of them are many things together, as in COCO; None where none is.
      difficult: Which are not asked for, as in Pascal VOC; None where all are.
      size: (height, width) of the image that they were drawn in, where that is known.
    """

    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray | None = None
    difficult: np.ndarray | None = None
    size: tuple[int, int] | None = None

    def flags(self) -> tuple[Bool[np.ndarray, " boxes"], Bool[np.ndarray, " boxes"]]:
        """Which are a crowd, and which are difficult."""
        none = np.zeros(len(self.classes), bool)
        crowd, difficult = (
            none if kind is None else np.asarray(kind, bool)
            for kind in (self.crowd, self.difficult)
        )
        return crowd, difficult


@dataclasses.dataclass(frozen=True)
class Boxes:
    """Things in the image: `Things`, or (boxes, classes) alone.

    Attributes:
      count: The most that an image may have.
      classes: How many classes there are, numbered from 0; 0 where any number from 0 may stand.
      names: Of the classes; empty where they have only numbers.
    """

    count: int
    classes: int = 0
    names: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    dtype: ClassVar[type[np.generic]] = np.float32
    missing: ClassVar[int] = NOTHING

    def shape(self, frame: Frame) -> tuple[int, ...]:
        """(count, 5)."""
        return self.count, 5

    def decode(
        self,
        raw: tuple[np.ndarray, np.ndarray] | Things,
        frame: Frame,
        seen: tuple[int, int] | None,
    ) -> Float32[np.ndarray, "count 5"]:
        """Moves the boxes as the image; drops crowds, what is difficult, and what is not seen.

        Returns:
          (top, left, bottom, right, class) a row, in pixels of the frame; -1 where there is none.
        """
        if seen is None:
            raise Misfit("has boxes, and no image that they lie in")
        rows, crowd, difficult = self.rows(raw, seen)
        rows = rows[~(crowd | difficult)]
        if len(rows) > self.count:
            raise Misfit(
                f"has {len(rows)} boxes, more than {self.count}: raise config.data.max_boxes"
            )
        moved = fit_boxes(rows[:, :4], frame.place(*seen), frame.size)
        is_seen = (moved[:, 2:] > moved[:, :2]).all(axis=1)
        result = np.full((self.count, 5), NOTHING, np.float32)
        kept = np.concatenate([moved, rows[:, 4:]], axis=1)[is_seen]
        result[: len(kept)] = kept
        return result

    def rows(
        self, raw: tuple[np.ndarray, np.ndarray] | Things, seen: tuple[int, int]
    ) -> tuple[
        Float[np.ndarray, "boxes 5"], Bool[np.ndarray, " boxes"], Bool[np.ndarray, " boxes"]
    ]:
        """The boxes at the size of their image.

        Args:
          raw: What the source has read.
          seen: (height, width) of the image.

        Returns:
          (top, left, bottom, right, class) a row, in pixels of the image, cut off at its borders;
          which are a crowd, and which are difficult.

        Raises:
          Misfit: A box lies beyond its image or ends before it begins, or there is no such class.
        """
        things = Things(*raw)
        fractions = np.asarray(things.boxes, np.float64).reshape(-1, 4)
        classes = np.asarray(things.classes, np.float64).reshape(-1)
        boxes = fractions * np.array([*seen, *seen])
        if things.size not in (None, seen):
            raise Misfit(
                "has boxes of an image of {}x{}, and is one of {}x{}".format(*things.size, *seen)
            )
        inside = (boxes >= -_SLACK) & (boxes <= np.array([*seen, *seen]) + _SLACK)
        wrong = ~(inside.all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1))
        if wrong.any():
            named = ", ".join(f"{x:g}" for x in np.round(boxes[wrong][0], 1))
            raise Misfit(
                "has the box ({}) of top, left, bottom and right in pixels, which is none within "
                "its image of {}x{}: correct it, or remove it".format(named, *seen)
            )
        if self.classes:
            check_range(classes.astype(np.int64), self.classes, "a box of the class")
        kept = np.clip(boxes, 0, np.array([*seen, *seen]))
        return np.concatenate([kept, classes[:, None]], axis=1), *things.flags()
