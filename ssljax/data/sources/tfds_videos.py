"""Videos in TFDS sets: one a record, or a record for each frame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from ssljax.data.sources.base import NO_LABEL
from ssljax.data.sources.tfds import open_split
from ssljax.data.sources.tfds_features import find_feature, get, single_features, skip_images
from ssljax.errors import UserError

_AT_ONCE = 1024
"""Records of a frame that are read together."""

_VIDEOS_AT_ONCE = 1
"""Records of a whole video that are: each may be as large as memory allows."""


class VideoFeature(tfds.features.Video):
    """TFDS' feature of the same data, which without this cannot be read without TensorFlow."""

    ALIASES = ("tensorflow_datasets.core.features.video_feature.Video",)

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        *,
        encoding_format: str | None = None,
        ffmpeg_extra_args: Sequence[str] = (),
        use_colormap: bool = False,
        dtype: Any = np.uint8,
        doc: Any = None,
    ) -> None:
        """As that of `tfds.features.Video`, but that the type is one of NumPy."""
        self._encoding_format = encoding_format
        self._extra_ffmpeg_args = list(ffmpeg_extra_args or ())
        frame = tfds.features.Image(
            shape=tuple(shape)[1:] if shape else None,
            dtype=dtype,
            encoding_format=encoding_format,
            use_colormap=use_colormap,
        )
        length = shape[0] if shape else None
        tfds.features.Sequence.__init__(self, frame, length=length, doc=doc)


class RecordKeys(NamedTuple):
    """The TFDS features that say which frames are a video; empty ones are found by their types.

    Attributes:
      image: The feature that holds the video, or one frame.
      clip: Says to which video a frame belongs, a number or a text; empty where a record is a
        video.
      time: Says when a frame is shown, any number; empty where the records are in order.
      label: The class.
    """

    image: str = ""
    clip: str = ""
    time: str = ""
    label: str = ""


class RecordVideo:
    """A video of a TFDS set.

    Attributes:
      name: Of the video in its set.
      label: Its class; None where it has none.
    """

    def __init__(
        self, name: str, label: int | None, records: Any, path: str, rows: Sequence[int], whole: int
    ) -> None:
        """Names the records.

        Args:
          name: See the class.
          label: Likewise.
          records: Those of the split.
          path: The feature that holds the frames.
          rows: Places of the frames' records, in the order of time, or the one of the video's.
          whole: How many frames the one record holds; 0 where each frame has a record.
        """
        self.name = name
        self.label = label
        self.rows = rows
        self._records = records
        self._path = path
        self._whole = whole

    def count(self) -> int:
        """The number of frames."""
        return self._whole or len(self.rows)

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def describe(self, number: int) -> str:
        """Names a frame."""
        return f"frame {number} of {self.name}"

    def read(self, numbers: Iterable[int]) -> list[bytes]:
        """Reads some frames at once, still encoded."""
        wanted = list(numbers)
        if self._whole:
            frames = get(self._records[self.rows[0]], self._path)
            return [bytes(frames[number]) for number in wanted]
        examples = self._records.__getitems__([self.rows[number] for number in wanted])
        return [get(example, self._path) for example in examples]

    def record(self, number: int) -> dict:
        """All that the set holds of a frame, where each has a record; its images are encoded."""
        record: dict = self._records[self.rows[number]]
        return record

    def iterate(self, numbers: Iterable[int]) -> Generator[bytes, None, None]:
        """Reads some frames one after another; of a video in one record, this at once."""
        if self._whole:
            yield from self.read(numbers)
        else:
            for number in numbers:
                yield from self.read([number])


def list_videos(
    builder: tfds.core.DatasetBuilder, split: str, keys: RecordKeys
) -> list[RecordVideo]:
    """Finds the videos of a split, for which all its records are read once; no image is decoded.

    Args:
      builder: Of a prepared data set.
      split: A name or a part, as TFDS writes it.
      keys: See `RecordKeys`.

    Returns:
      The videos, in the order in which they first appear.

    Raises:
      UserError: There is no such split or feature.
    """
    kind = tfds.features.Image if keys.clip else tfds.features.Video
    path = find_feature(builder, kind, "video", "image_key", keys.image or None)
    _check_keys(builder, keys, path)
    assert path is not None
    label = _label_path(builder, keys.label or None)
    records = open_split(builder, split, skip_images(builder.info.features))
    if not keys.clip:
        return [
            RecordVideo(f"video{row}", _label(x, label), records, path, [row], len(get(x, path)))
            for row, x in _examples(records, _VIDEOS_AT_ONCE)
        ]
    frames = defaultdict(list)
    for row, example in _examples(records, _AT_ONCE):
        time = float(get(example, keys.time))
        frames[_name(get(example, keys.clip))].append((time, row, _label(example, label)))
    return [
        RecordVideo(name, rows[0][2], records, path, [row for _, row, _ in sorted(rows)], 0)
        for name, rows in frames.items()
    ]


def label_feature(builder: tfds.core.DatasetBuilder, chosen: str | None) -> Any:
    """The feature of the classes: the one that is named, or "label", or else the only one."""
    path = _label_path(builder, chosen)
    return None if path is None else dict(single_features(builder.info.features))[path]


def _label_path(builder: tfds.core.DatasetBuilder, chosen: str | None) -> str | None:
    return find_feature(builder, tfds.features.ClassLabel, "label", "label_key", chosen)


def _check_keys(builder: tfds.core.DatasetBuilder, keys: RecordKeys, path: str | None) -> None:
    """Raises a `UserError` where the features do not say what the videos are."""
    features = dict(single_features(builder.info.features))
    known = f"{builder.info.name} has {', '.join(sorted(features))}"
    if path is None and keys.clip:
        raise UserError(f"Name the feature of the frames in config.data.image_key: {known}.")
    if path is None:
        raise UserError(
            f"{builder.info.name} has no feature of the type Video, or several: name one in "
            "config.data.image_key, or, where each frame is a record, name the features that say "
            f"to which video it belongs and when it is shown in config.data.clip_key and "
            f"config.data.time_key ({known})."
        )
    if keys.clip and not keys.time:
        raise UserError(
            "config.data.clip_key needs config.data.time_key beside it, the feature that says when "
            f"a frame is shown, as TFDS shuffles records: {known}."
        )
    for key in ("clip", "time"):
        chosen = getattr(keys, key)
        if chosen and chosen not in features:
            raise UserError(f"config.data.{key}_key={chosen!r} is no feature: {known}.")


def _examples(records: Any, at_once: int) -> Generator[tuple[int, dict], None, None]:
    """All records with their places, so many read at once."""
    for start in range(0, len(records), at_once):
        rows = range(start, min(start + at_once, len(records)))
        yield from zip(rows, records.__getitems__(list(rows)), strict=True)


def _name(value: Any) -> str:
    """What a video is called after its number or text."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else f"video{value}"


def _label(example: dict, path: str | None) -> int | None:
    label = NO_LABEL if path is None else int(get(example, path))
    return None if label == NO_LABEL else label
