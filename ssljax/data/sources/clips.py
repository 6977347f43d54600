"""Clips of videos that lie in folders, as files or as folders of frames."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ssljax import paths
from ssljax.data.fields import Clip, Field, Label, Parts
from ssljax.data.sources.base import SPLIT_KEYS, Record, Source
from ssljax.data.sources.clip_files import clip_suffixes, list_video_files, open_video
from ssljax.data.sources.layout import (
    aside,
    file_sizes,
    parse_split,
    path_hash,
    skipped,
    split_directory,
    take_part,
)
from ssljax.data.sources.motion import MOTION_FILE, read_motion
from ssljax.data.sources.windows import Windows
from ssljax.data.videos import is_video
from ssljax.errors import UserError


class ClipFolder(Source):
    """Clips of several frames; each video file, and each folder that holds images, is a video.

    The frames of a folder are in the order of their names, with numbers in the order of their size
    ("2.jpg" before "10.jpg"). Which of its frames are clips says `Windows`; what is left at its end
    is left out. Splits are as of `FolderSource`, and a part such as "train[:90%]" is one of the
    videos. When every video lies deeper than in the directory itself, as a file or a folder in a
    first-level folder, these are the classes.

    A folder that holds the frames of one clip and no others is a track, as `prepare_video` mines
    them: its video is the folder that it lies in. Every other clip is of the video that it is cut
    from.
    """

    def __init__(self, directory: str | os.PathLike[str], split: str, parts: Parts) -> None:
        """Lists the files, and counts the frames of those of videos; decodes nothing.

        Args:
          directory: Where the videos are, on a disk or in a bucket.
          split: As of `FolderSource`.
          parts: What a clip is, and how much has to move in it.

        Raises:
          UserError: There is no such directory, split or part, or no video is long enough, or it is
            not known how much moves.
        """
        name, start, stop = parse_split(split)
        self._top = paths.resolve(directory)
        self._root, self._splits = split_directory(self._top, name, clip_suffixes())
        self._listing, self._files = list_video_files(self._root)
        self._videos = take_part(sorted(self._files, key=path_hash), start, stop)
        opened = [open_video(self._root, video, self._files[video]) for video in self._videos]
        self._parts = parts
        self._windows = Windows(opened, parts)
        if not len(self._windows):
            raise UserError(
                f"The split {split!r} of {self._root} has no video of {self._windows.span} frames"
                f" among its {len(self._videos)} videos: make config.data.frames or"
                " config.data.stride smaller, or name another directory in config.data.dir or part"
                f" in {SPLIT_KEYS}{aside([*self._windows.left_out(), *skipped(self._listing)])}."
            )
        if 0 < parts.motion < 1:
            self._keep_moving()
        deep = all(os.sep in video for video in self._files)
        classes = self._listing.folders if deep else []
        self._class_index = {folder: k for k, folder in enumerate(classes)}
        numbers = {name: k for k, name in enumerate(sorted({*map(self._origin, self._files)}))}
        self._origins = [numbers[self._origin(video)] for video in self._videos]
        self.name = "folder"
        self.split = split
        self.num_classes = len(classes) or None
        self.class_names = tuple(classes)

    @property
    def fields(self) -> Mapping[str, Field]:
        """Clip, the number of its video, and label where there are classes."""
        clip: dict[str, Field] = {"clip": Clip(self._parts.frames), "video": Label()}
        return clip | ({"label": Label()} if self._class_index else {})

    def __len__(self) -> int:
        return len(self._windows)

    def read(self, index: int) -> Record:
        """Reads the frames of a clip, of files already decoded.

        Raises:
          UserError: A file cannot be read.
        """
        return {
            "clip": self._windows.read(index),
            "video": self._origins[int(self._windows.video[index])],
            "label": self._label(index),
        }

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes from the paths; no file is opened."""
        return [self._label(index) for index in indices]

    def describe(self, index: int) -> str:
        """Names the clip by its first frame."""
        return self._windows.describe(index)

    def holder(self, index: int) -> str:
        """Names the video."""
        return self._windows.holder(index)

    def contents(self) -> Any:
        """Relative paths and sizes of the videos' files, and which of their frames are clips."""
        files = [file for video in self._videos for file in self._files[video]]
        clips = np.stack([self._windows.video, self._windows.first]).astype("<i8").tobytes()
        digest = hashlib.blake2b(clips, digest_size=16).hexdigest()
        return [*file_sizes(self._root, files, self._listing), digest]

    def summary(self) -> str:
        """Clips, classes and splits that were found, and what was left out."""
        found = [super().summary(), f"{len(self._videos):,} videos"]
        if self._splits:
            found.append(f"splits {', '.join(self._splits)}")
        if 0 < self._parts.motion < 1:
            found.append(f"those {self._parts.motion:g} of all clips in which most moves")
        told = [*found, *self._windows.left_out(), *skipped(self._listing)]
        return "; ".join(told) + f" ({self._root})"

    def _origin(self, video: str) -> str:
        """The path of the video that one of the folders or files is of."""
        is_track = not is_video(video) and len(self._files[video]) == self._parts.frames
        return os.path.dirname(video) or video if is_track else video

    def _label(self, index: int) -> int | None:
        video = self._videos[int(self._windows.video[index])]
        return self._class_index.get(video.split(os.sep, 1)[0])

    def _keep_moving(self) -> None:
        """Leaves out the clips in which least moves."""
        known = read_motion(self._top)
        above = self._root.relative_to(self._top)

        def motion(video: int) -> Float[np.ndarray, " frames"]:
            name = self._videos[video]
            if is_video(name):
                raise UserError(
                    f"{self._root / name} is a file, and config.data.motion needs frames with"
                    f" {MOTION_FILE} beside them: prepare the videos by `python -m"
                    " ssljax.tools.prepare_video`."
                )
            files = [(above / file).as_posix() for file in self._files[name]]
            missing = next((file for file in files[:-1] if file not in known), None)
            if missing is not None:
                raise UserError(
                    f"{self._top / MOTION_FILE} does not know {missing}: prepare the videos again."
                )
            return np.array([known.get(file, 0.0) for file in files])

        self._windows.keep_moving(self._parts.motion, motion)
