"""Videos as folders of frames, cut into clips."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ssljax import paths
from ssljax.data.fields import Clip, Field, Label, Parts
from ssljax.data.sources.base import SPLIT_KEYS, Record, Source
from ssljax.data.sources.layout import (
    aside,
    file_sizes,
    image_suffixes,
    parse_split,
    path_hash,
    read_file,
    skipped,
    split_directory,
    take_part,
)
from ssljax.data.sources.listing import list_files
from ssljax.errors import UserError

_DIGITS = re.compile(r"(\d+)")


class ClipFolder(Source):
    """Clips of several frames; each folder that holds images is one video.

    The frames of a video are in the order of their names, with numbers in the order of their size
    ("2.jpg" before "10.jpg"). A video gives as many clips as it has whole ones that do not overlap;
    what is left at its end is left out. Splits are as of `FolderSource`, and a part such as
    "train[:90%]" is one of the videos. When every video lies deeper than in a first-level folder,
    the first-level folders are the classes.
    """

    def __init__(self, directory: str | os.PathLike[str], split: str, parts: Parts) -> None:
        """Lists the files; reads none of them.

        Args:
          directory: Where the videos are.
          split: As of `FolderSource`.
          parts: With the number of frames of a clip.

        Raises:
          UserError: There is no such directory, split or part, or no video is long enough.
        """
        name, start, stop = parse_split(split)
        self._root, self._splits = split_directory(paths.resolve(directory), name)
        self._listing = list_files(self._root, image_suffixes())
        self._frames = parts.frames
        frames = defaultdict(list)
        for file in self._listing.images:
            frames[os.path.dirname(file)].append(file)
        videos = take_part(sorted(frames, key=path_hash), start, stop)
        self._clips = [
            sorted(frames[video], key=_natural)[first : first + self._frames]
            for video in videos
            for first in range(0, len(frames[video]) - self._frames + 1, self._frames)
        ]
        if not self._clips:
            raise UserError(
                f"The split {split!r} of {self._root} has no video of {self._frames} frames among"
                f" its {len(videos)} folders with images: make config.data.frames smaller, or name"
                f" another directory in config.data.dir or part in {SPLIT_KEYS}"
                f"{aside(skipped(self._listing))}."
            )
        self._short = sum(len(frames[video]) < self._frames for video in videos)
        deep = all(os.sep in video for video in frames)
        classes = self._listing.folders if deep else []
        self._class_index = {folder: k for k, folder in enumerate(classes)}
        self.name = "folder"
        self.split = split
        self.num_classes = len(classes) or None
        self.class_names = tuple(classes)

    @property
    def fields(self) -> Mapping[str, Field]:
        """Clip, and label where there are classes."""
        return {"clip": Clip(self._frames)} | ({"label": Label()} if self._class_index else {})

    def __len__(self) -> int:
        return len(self._clips)

    def read(self, index: int) -> Record:
        """Reads the frames of a clip.

        Raises:
          UserError: A file cannot be read.
        """
        files = self._clips[index]
        return {"clip": [read_file(self._root / file) for file in files], **self._label(index)}

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes from the paths; no file is opened."""
        return [self._label(index)["label"] for index in indices]

    def describe(self, index: int) -> str:
        """The path of the clip's first frame."""
        return f"The clip of {self._frames} frames from {self._root / self._clips[index][0]}"

    def contents(self) -> Any:
        """Relative paths and sizes of the frames, clip by clip."""
        return [file_sizes(self._root, clip, self._listing) for clip in self._clips]

    def summary(self) -> str:
        """Clips, classes and splits that were found, and what was left out."""
        found = [super().summary()]
        if self._splits:
            found.append(f"splits {', '.join(self._splits)}")
        if self._short:
            found.append(f"{self._short:,} videos of fewer than {self._frames} frames left out")
        return "; ".join([*found, *skipped(self._listing)]) + f" ({self._root})"

    def _label(self, index: int) -> dict[str, int | None]:
        folder = self._clips[index][0].split(os.sep, 1)[0]
        return {"label": self._class_index.get(folder)}


def _natural(path: str) -> tuple[list[tuple[int, str]], str]:
    """The key by which "2" comes before "10"; "02" and "2" are told apart by themselves."""
    parts = [(int(x), "") if x.isdecimal() else (-1, x) for x in _DIGITS.split(path)]
    return parts, path
