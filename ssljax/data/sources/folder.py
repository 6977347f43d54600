"""Images in a directory, with or without a folder for each class."""

import base64
import functools
import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ssljax.data.sources.base import SPLIT_KEYS, Record, Source
from ssljax.data.sources.listing import Listing, list_files
from ssljax.errors import UserError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==")
_SPLIT = re.compile(r"([^\[\]]*)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")
_SPLIT_NAMES = (
    *("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"),
    *("extra", "unlabeled", "unlabelled", "unsupervised"),
)
_FOLDERS_SHOWN = 10
_KINDS_SHOWN = 5

_log = logging.getLogger(__name__)


class FolderSource(Source):
    """The images in a directory and in all folders below it.

    First-level folders with images are splits if all of them have names of splits ("train", "val",
    "test", "unlabelled", ...), and no splits if at most one has: a class may be called "train".
    Within a split, or in a directory without splits, when every image lies in one of several
    first-level folders, these folders, sorted by name, are the classes; otherwise there are no
    labels. A single folder is a class only if it is one in another split. The records are in an
    order that depends on their relative paths alone and looks random (a hash), so a part such as
    "train[:90%]" holds every class.

    Links to folders are followed, and each folder is read once, whatever leads to it.
    """

    def __init__(self, directory: str | os.PathLike[str], split: str = "train") -> None:
        """Lists the files; reads none of them.

        Args:
          directory: Where the images are.
          split: The name of a split's folder, or a part of it as TFDS writes it: "train[:90%]",
            "train[100:200]". In a directory without splits "train" and "" mean all of it.

        Raises:
          UserError: There is no such directory, split or part, or it holds no images, or its
            folders are neither all splits nor all classes.
        """
        name, start, stop = _parse_split(split)
        root, self._splits = _split_directory(Path(directory).expanduser(), name)
        listing = list_files(root, image_suffixes())
        files = sorted(listing.images, key=_path_hash)
        if not files:
            raise UserError(
                f"{root} holds no images: put files that end in {', '.join(image_suffixes())} there"
                f" or name another directory in config.data.dir{_aside(_skipped(listing))}."
            )
        classes = _class_folders(root, listing, self._splits)
        part = slice(_boundary(start, len(files), 0), _boundary(stop, len(files), len(files)))
        self._files = files[part]
        if not self._files:
            raise UserError(
                f"The split {split!r} of {root} is empty: choose a part of its {len(files)} images"
                f" in {SPLIT_KEYS}."
            )
        self._root = root
        self._listing = listing
        self._class_index = {folder: k for k, folder in enumerate(classes)}
        self.name = "folder"
        self.split = split
        self.num_classes = len(classes) or None
        self.class_names = tuple(classes)

    def __len__(self) -> int:
        return len(self._files)

    def read(self, index: int) -> Record:
        """Reads the bytes of a file.

        Raises:
          UserError: The file cannot be read.
        """
        file = self._files[index]
        try:
            data = (self._root / file).read_bytes()
        except OSError as error:
            raise UserError(
                f"{self.describe(index)} cannot be read ({error.strerror}): restore it, or remove"
                " it and start again."
            ) from error
        return Record(data, self._label(file))

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes from the paths; no file is opened."""
        return [self._label(self._files[i]) for i in indices]

    def describe(self, index: int) -> str:
        """The path of the file."""
        return str(self._root / self._files[index])

    def contents(self) -> Any:
        """Relative paths and sizes of the files."""
        return [(file, _size(self._root / file)) for file in sorted(self._files)]

    def summary(self) -> str:
        """Images, classes and splits that were found, and what was skipped."""
        found = [super().summary()]
        if self._splits:
            found.append(f"splits {', '.join(self._splits)}")
        return "; ".join([*found, *_skipped(self._listing)]) + f" ({self._root})"

    def _label(self, file: str) -> int | None:
        return self._class_index[file.split(os.sep, 1)[0]] if self._class_index else None


def _class_folders(root: Path, listing: Listing, splits: Sequence[str]) -> list[str]:
    """The first-level folders if they are classes; an empty one counts, so that numbers stay."""
    loose = sum(os.sep not in file for file in listing.images)
    if loose and loose < len(listing.images):
        _log.warning(
            "%s has %d images beside its folders, so the folders are not taken for classes and"
            " there are no labels.",
            root,
            loose,
        )
    if loose or not listing.folders:
        return []
    if len(listing.folders) > 1:
        return listing.folders
    elsewhere = [_folders(root.parent / split) for split in splits]
    known = any(len(names) > 1 and listing.folders[0] in names for names in elsewhere)
    return listing.folders if known else []


def _folders(directory: Path) -> list[str]:
    """The visible folders in a directory, by name."""
    return sorted(p.name for p in directory.iterdir() if p.is_dir() and p.name[0] != ".")


@functools.cache
def image_suffixes() -> tuple[str, ...]:
    """The endings of the files that are read; GIF where this build of OpenCV has it."""
    has_gif = cv2.imdecode(np.frombuffer(_GIF, np.uint8), cv2.IMREAD_COLOR) is not None
    return (*_SUFFIXES, ".gif") if has_gif else _SUFFIXES


def _parse_split(split: str) -> tuple[str, str | None, str | None]:
    match = _SPLIT.fullmatch(split)
    if match is None:
        raise UserError(
            f"The split {split!r} cannot be understood: write a name such as 'train', or a part of"
            f" it such as 'train[:90%]' or 'train[100:200]', in {SPLIT_KEYS}."
        )
    return match[1], match[2], match[3]


def _boundary(text: str | None, size: int, default: int) -> int:
    """A boundary of a part as a place in 0..size; percents are rounded to the nearest record."""
    if text is None:
        return default
    place = round(int(text[:-1]) * size / 100) if text.endswith("%") else int(text)
    return max(0, min(size, place + size if place < 0 else place))


def _split_directory(directory: Path, split: str) -> tuple[Path, list[str]]:
    """The directory of a split, and the names of all splits; none if it has no splits."""
    if not directory.is_dir():
        raise UserError(
            f"There is no directory {directory}: name the one with the images in config.data.dir."
        )
    folders = _folders(directory)
    if split in folders and split.lower() not in _SPLIT_NAMES:
        return directory / split, [split]
    likely = [name for name in folders if name.lower() in _SPLIT_NAMES]
    beside = [name for name in folders if likely and name not in likely]
    others = [name for name in beside if _holds_images(directory / name)]
    if others and len(likely) > 1:
        raise UserError(
            f"{directory} has folders that are named like splits ({_names(likely)}) beside others"
            f" with images ({_names(others)}), so it is not clear which are classes: leave only"
            " splits or only classes there, or name one of the folders in config.data.dir."
        )
    splits = [] if others else likely
    if split in splits:
        return directory / split, splits
    if not splits and split in ("", "train"):
        return directory, []
    raise UserError(
        f"{directory} has no split {split!r}: make a folder of that name in it, or choose one of"
        f" {_names(splits or ['train', *folders])} in {SPLIT_KEYS}."
    )


def _holds_images(folder: Path) -> bool:
    return bool(list_files(folder, image_suffixes(), first=True).images)


def _names(folders: Sequence[str]) -> str:
    more = f" and {len(folders) - _FOLDERS_SHOWN} more" if len(folders) > _FOLDERS_SHOWN else ""
    return ", ".join(folders[:_FOLDERS_SHOWN]) + more


def _skipped(listing: Listing) -> list[str]:
    """What is in the folders and is not read."""
    kinds = [f"{count:,} {kind}" for kind, count in listing.skipped.most_common(_KINDS_SHOWN)]
    rest = listing.skipped.total() - sum(n for _, n in listing.skipped.most_common(_KINDS_SHOWN))
    if rest:
        kinds.append(f"{rest:,} others")
    told = [f"skipped files: {', '.join(kinds)}"] if kinds else []
    if listing.repeated:
        told.append(f"{listing.repeated:,} links to folders that are read already")
    return told


def _aside(told: Sequence[str]) -> str:
    return f" ({'; '.join(told)})" if told else ""


def _path_hash(path: str) -> bytes:
    return hashlib.blake2b(Path(path).as_posix().encode(errors="surrogateescape")).digest()


def _size(file: Path) -> int:
    """Bytes; -1 where the file is gone, which is reported when it is read."""
    try:
        return file.stat().st_size
    except OSError:
        return -1
