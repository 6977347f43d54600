"""Clips of the videos of a TFDS set."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from ssljax.data.fields import Clip, Field, Label, Parts
from ssljax.data.sources.base import SPLIT_KEYS, Record, Source
from ssljax.data.sources.layout import aside, parse_split, path_hash, take_part
from ssljax.data.sources.tfds import shard_contents
from ssljax.data.sources.tfds_videos import RecordKeys, label_feature, list_videos
from ssljax.data.sources.windows import Windows
from ssljax.errors import UserError


class TfdsClips(Source):
    """Clips of the videos of one split of a prepared TFDS data set.

    A video is a record with a feature of the type `Video`, or all records of single frames that say
    that they belong to it. Which of its frames are clips says `Windows`. A part such as
    "train[:90%]" is one of the videos.
    """

    def __init__(
        self,
        builder: tfds.core.DatasetBuilder,
        split: str,
        parts: Parts,
        *,
        image_key: str | None = None,
        label_key: str | None = None,
    ) -> None:
        """Reads all records of the split once, and decodes no image.

        Args:
          builder: Of a prepared data set; see `open_builder`.
          split: A name, or a part such as "train[:90%]".
          parts: What a clip is, and which features say to which video a frame belongs.
          image_key: The feature that holds the video, or the frame.
          label_key: The feature that holds the class; that of a video's first frame counts.

        Raises:
          UserError: There is no such split or feature, or no video is long enough.
        """
        name, start, stop = parse_split(split)
        if parts.motion:
            raise UserError(
                "config.data.motion needs frames in folders: prepare the videos by `python -m "
                f"ssljax.tools.prepare_video --dataset={builder.info.name}`, or set it to 0."
            )
        keys = RecordKeys(image_key or "", parts.clip_key, parts.time_key, label_key or "")
        videos = sorted(list_videos(builder, name, keys), key=lambda video: path_hash(video.name))
        self._videos = take_part(videos, start, stop)
        self._windows = Windows(self._videos, parts)
        self.name = builder.info.name
        self.split = split
        if not len(self._windows):
            raise UserError(
                f"The split {split!r} of {self.name} has no video of {self._windows.span} frames"
                f" among its {len(self._videos)} videos: make config.data.frames or"
                f" config.data.stride smaller, or choose another part in {SPLIT_KEYS}"
                f"{aside(self._windows.left_out())}."
            )
        classes = label_feature(builder, label_key)
        self.num_classes = classes.num_classes if classes else None
        self.class_names = tuple(classes.names) if classes and self.num_classes else ()
        self._builder, self._parts, self._whole = builder, parts, name

    @property
    def fields(self) -> Mapping[str, Field]:
        """Clip, the number of its video, and label where there are classes."""
        clip: dict[str, Field] = {"clip": Clip(self._parts.frames), "video": Label()}
        return clip | ({} if self.num_classes is None else {"label": Label()})

    def __len__(self) -> int:
        return len(self._windows)

    def read(self, index: int) -> Record:
        """Reads the frames of a clip, still encoded."""
        return {
            "clip": self._windows.read(index),
            "video": int(self._windows.video[index]),
            "label": self._label(index),
        }

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """The classes of several clips, which are known."""
        return [self._label(index) for index in indices]

    def describe(self, index: int) -> str:
        """Names the clip by its first frame."""
        return f"{self._windows.describe(index)} of {self.name}/{self.split}"

    def holder(self, index: int) -> str:
        """Names the video."""
        return f"{self._windows.holder(index)} of {self.name}/{self.split}"

    def contents(self) -> Any:
        """The shards of the split as TFDS has recorded them, and the clips' number."""
        return [*shard_contents(self._builder, self._whole), self.split, len(self)]

    def summary(self) -> str:
        """Clips, videos and classes that were found, and what was left out."""
        found = [super().summary(), f"{len(self._videos):,} videos"]
        return "; ".join([*found, *self._windows.left_out()])

    def _label(self, index: int) -> int | None:
        return self._videos[int(self._windows.video[index])].label
