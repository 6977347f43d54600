"""What a record is made of: fields, each of a kind that decodes to one shape and type.

A source says which fields its records have. In an array, -1 stands for what is not there: a label
that is unknown, a pixel that belongs to no class, a box that fills up the row.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, UInt8

from ssljax.data.decode import CorruptImage, Misfit, Range, open_image, open_stored
from ssljax.data.fit import Placement, Resize, fit_mask, fit_pixels, place
from ssljax.data.headers import png_as_numbers, png_white

NOTHING = -1
"""What stands in an array for what is not there."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """How a run wants its images.

    Attributes:
      size: Height and width, in pixels.
      channels: From 1.
      resize: See `ssljax.data.fit.place`.
      value_range: See `ssljax.data.decode.open_image`.
    """

    size: int
    channels: int
    resize: Resize = "short_side"
    value_range: Range | None = None

    def place(self, height: int, width: int) -> Placement:
        """Places an image of that size; see `ssljax.data.fit.place`."""
        return place(height, width, self.size, self.resize)


@runtime_checkable
class Field(Protocol):
    """One kind of field.

    Attributes:
      dtype: Type of what is decoded.
      missing: What the array holds where there is no record.
    """

    dtype: ClassVar[type[np.generic]]
    missing: ClassVar[int]

    def shape(self, frame: Frame) -> tuple[int, ...]:
        """Shape of what is decoded."""
        ...

    def decode(self, raw: Any, frame: Frame, seen: tuple[int, int] | None) -> Any:
        """Decodes what the source has read.

        Args:
          raw: As the field's kind says.
          frame: What the images are brought to.
          seen: (height, width) of the record's image as it is stored; None where it has none.

        Returns:
          An array of the field's shape and type.

        Raises:
          CorruptImage: The bytes cannot be decoded.
          Misfit: They can, and do not belong here.
          ValueError: The image does not have the size that `frame.resize` demands.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Image:
    """A picture: what `ssljax.data.decode.open_image` takes."""

    dtype: ClassVar[type[np.generic]] = np.uint8
    missing: ClassVar[int] = 0

    def shape(self, frame: Frame) -> tuple[int, ...]:
        """(size, size, channels)."""
        return frame.size, frame.size, frame.channels

    def decode(
        self, raw: bytes | np.ndarray, frame: Frame, seen: tuple[int, int] | None = None
    ) -> UInt8[np.ndarray, "height width channels"]:
        """Decodes, converts and resizes."""
        pixels = open_image(raw, channels=frame.channels, value_range=frame.value_range)
        return fit_pixels(pixels, frame.place(*pixels.shape[:2]), frame.size)


@dataclasses.dataclass(frozen=True)
class Clip:
    """Frames of one video, in the order of time: a sequence of what `Image` takes.

    Attributes:
      frames: How many.
    """

    frames: int
    dtype: ClassVar[type[np.generic]] = np.uint8
    missing: ClassVar[int] = 0

    def shape(self, frame: Frame) -> tuple[int, ...]:
        """(frames, size, size, channels)."""
        return self.frames, *Image().shape(frame)

    def decode(
        self,
        raw: Sequence[bytes | np.ndarray] | CorruptImage,
        frame: Frame,
        seen: tuple[int, int] | None = None,
    ) -> UInt8[np.ndarray, "frames height width channels"]:
        """Decodes each frame as an image, or raises what a source has met in its place."""
        if isinstance(raw, CorruptImage):
            raise raw
        if len(raw) != self.frames:
            raise Misfit(f"has {len(raw)} frames, and a clip has {self.frames}")
        return np.stack([Image().decode(image, frame) for image in raw])


@dataclasses.dataclass(frozen=True)
class Label:
    """A class, from 0, or None; likewise the number of the video that a clip is of."""

    dtype: ClassVar[type[np.generic]] = np.int32
    missing: ClassVar[int] = NOTHING

    def shape(self, frame: Frame) -> tuple[int, ...]:
        """()."""
        return ()

    def decode(
        self, raw: int | None, frame: Frame, seen: tuple[int, int] | None = None
    ) -> Int32[np.ndarray, ""]:
        """The class; -1 where there is none."""
        return np.array(NOTHING if raw is None else raw, np.int32)


class Classes(NamedTuple):
    """Classes of a record of which some are doubtful.

    Attributes:
      present: Those that the image has.
      doubtful: Those that it may have: where they are not among the others, nothing is known.
    """

    present: Sequence[int]
    doubtful: Sequence[int]


@dataclasses.dataclass(frozen=True)
class MultiLabel:
    """Any number of classes, from 0, in a sequence or `Classes`; or None where none is known.

    Attributes:
      classes: How many there are.
      names: Of the classes; empty where they have only numbers.
    """

    classes: int
    names: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    dtype: ClassVar[type[np.generic]] = np.int32
    missing: ClassVar[int] = NOTHING

    def shape(self, frame: Frame) -> tuple[int, ...]:
        """(classes,)."""
        return (self.classes,)

    def decode(
        self,
        raw: Sequence[int] | Classes | None,
        frame: Frame,
        seen: tuple[int, int] | None = None,
    ) -> Int32[np.ndarray, " classes"]:
        """1 for each class that the image has, 0 for the others; -1 for what is not known."""
        if raw is None:
            return np.full(self.classes, NOTHING, np.int32)
        present, doubtful = raw if isinstance(raw, Classes) else (raw, ())
        has = np.zeros(self.classes, np.int32)
        for named, value in ((doubtful, NOTHING), (present, 1)):
            numbers = np.asarray(named, np.int64).reshape(-1)
            check_range(numbers, self.classes, "the class")
            has[numbers] = value
        return has


@dataclasses.dataclass(frozen=True)
class Mask:
    """A whole number for each pixel of the image: an encoded file of one channel, or an array.

    A PNG with a palette gives the numbers of its colours, as Pascal VOC's do.

    Attributes:
      void: The number of pixels that belong to no class; they become -1.
      classes: How many classes there are, numbered from 0; 0 where any number from 0 may stand.
    """

    void: int = 255
    classes: int = 0
    dtype: ClassVar[type[np.generic]] = np.int32
    missing: ClassVar[int] = NOTHING

    def shape(self, frame: Frame) -> tuple[int, ...]:
        """(size, size)."""
        return frame.size, frame.size

    def decode(
        self, raw: bytes | np.ndarray, frame: Frame, seen: tuple[int, int] | None
    ) -> Int32[np.ndarray, "height width"]:
        """Decodes the mask and moves it as its image; -1 in the void, and around the image."""
        mask = self.numbers(raw, seen)
        return fit_mask(mask, frame.place(*mask.shape), frame.size, NOTHING)

    def numbers(
        self, raw: bytes | np.ndarray, seen: tuple[int, int] | None = None
    ) -> Int32[np.ndarray, "height width"]:
        """Decodes the mask at its own size; -1 in the void. Arguments and errors: see `Field`."""
        values = _open_mask(raw)
        if seen is not None and values.shape != seen:
            raise Misfit(
                "has a mask of {}x{} pixels, and the image has {}x{}".format(*values.shape, *seen)
            )
        mask = np.where(values == self.void, NOTHING, values.astype(np.int32))
        inside = values[values != self.void]
        if self.classes:
            check_range(inside, self.classes, f"outside the void {self.void} the number")
        elif inside.size and not (inside.min() >= 0 and inside.max() < 2**31):
            wrong = inside.min() if inside.min() < 0 else inside.max()
            raise Misfit(f"has a mask with the number {wrong}: classes are numbered from 0")
        return mask


@dataclasses.dataclass(frozen=True)
class Parts:
    """What is read of a record beside its image and its class; nothing by default.

    Attributes:
      mask_key: The TFDS feature that holds the mask, a path such as "scan/mask" where it is nested;
        empty for no mask. In a folder, `images/` and `masks/` say enough.
      multi_label_key: The TFDS feature that holds any number of classes, such as "labels".
      boxes_key: The TFDS feature that holds the boxes, such as "objects/bbox". Their classes are
        the feature "label" beside it, or else the only class there, or else 0.
      void: See `Mask`.
      mask_classes: See `Mask`, of which it is `classes`.
      annotations: A file in COCO's format with the boxes of a folder's images, a path below the
        folder; "{split}" in it stands for the name of the split. Empty for no boxes.
      box_classes: See `ssljax.data.boxes.Boxes`, of which it is `classes`.
      max_boxes: See `ssljax.data.boxes.Boxes`, of which it is `count`.
      frames: See `Clip`; with 0 there are images and no clips.
      stride: Frames from one of a clip to the next one.
      hop: Frames from the beginning of a clip to that of the next; with 0 no two overlap.
      motion: The part of the clips that is kept, of those in which most moves; 0 for all.
      clip_key: The TFDS feature that says to which video a frame belongs; empty where a record
        holds a video.
      time_key: The TFDS feature that says when a frame is shown.
      doubtful_key: A TFDS feature of the same classes as that of `multi_label_key`: what it alone
        names is neither taught nor scored. Of Pascal VOC, "labels" beside "labels_no_difficult".
    """

    mask_key: str = ""
    multi_label_key: str = ""
    boxes_key: str = ""
    annotations: str = ""
    void: int = 255
    mask_classes: int = 0
    box_classes: int = 0
    max_boxes: int = 100
    frames: int = 0
    doubtful_key: str = ""
    stride: int = 1
    hop: int = 0
    motion: float = 0.0
    clip_key: str = ""
    time_key: str = ""


NO_PARTS = Parts()


def decode_record(
    fields: Mapping[str, Field], record: Mapping[str, Any], frame: Frame
) -> dict[str, np.ndarray]:
    """Decodes all fields of a record.

    Args:
      fields: Of the source, by name; the record's image is called "image".
      record: What the source has read, by the same names.
      frame: What the images are brought to.

    Returns:
      An array for each field.

    Raises:
      CorruptImage: A picture cannot be decoded.
      Misfit: A part does not belong to the others or to the config.
      ValueError: The image does not have the size that `frame.resize` demands.
    """
    seen = None
    if "image" in fields:
        # Opened once, since its size says where masks and boxes lie.
        image = open_image(record["image"], channels=frame.channels, value_range=frame.value_range)
        seen = image.shape[:2]
    decoded = {}
    for name, field in fields.items():
        if name == "image" and seen is not None:
            decoded[name] = fit_pixels(image, frame.place(*seen), frame.size)
        else:
            decoded[name] = field.decode(record[name], frame, seen)
    return decoded


def empty_batch(fields: Mapping[str, Field], frame: Frame, *rows: int) -> dict[str, np.ndarray]:
    """Makes an array for each field, filled with what stands for no record.

    Args:
      fields: By name.
      frame: What the images are brought to.
      *rows: The leading axes.
    """
    return {
        name: np.full((*rows, *field.shape(frame)), field.missing, field.dtype)
        for name, field in fields.items()
    }


def check_range(values: np.ndarray, classes: int, what: str) -> None:
    """Raises a `Misfit` if a whole number is none of so many, from 0; `what` it is called."""
    if values.size and not (values.min() >= 0 and values.max() < classes):
        wrong = values.min() if values.min() < 0 else values.max()
        raise Misfit(f"has {what} {wrong}, and there are {classes} classes, numbered from 0")


def _open_mask(raw: bytes | np.ndarray) -> np.ndarray:
    if isinstance(raw, np.ndarray):
        values = raw
    else:
        values = open_stored(png_as_numbers(raw)) // png_white(raw)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer):
        raise Misfit(
            f"has a mask of {values.dtype} {values.shape}: store one whole number a pixel, as a PNG"
            " of one channel"
        )
    return values
