"""How a directory of images is laid out: its splits, its classes, and parts of them."""

import base64
import functools
import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from ssljax import paths
from ssljax.data.sources.base import SPLIT_KEYS
from ssljax.data.sources.listing import Listing, list_files
from ssljax.errors import UserError, brief, is_refused

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".npy")
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==")
_SPLIT = re.compile(r"([^\[\]]*)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")
_SPLIT_NAMES = (
    *("train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"),
    *("extra", "unlabeled", "unlabelled", "unsupervised"),
)
_DOMAINS = tuple(split + domain for split in ("train", "val", "test") for domain in "ab")
"""Splits of unpaired sets: "trainA" and so on, as those of CycleGAN are laid out."""
_FOLDERS_SHOWN = 10
_KINDS_SHOWN = 5

Member = TypeVar("Member")

_log = logging.getLogger(__name__)


def class_folders(root: paths.Path, listing: Listing, siblings: Sequence[paths.Path]) -> list[str]:
    """The first-level folders if they are classes; an empty one counts, so that numbers stay.

    Args:
      root: Where the images are.
      listing: Of it.
      siblings: The directories of all splits; a single folder is a class where it is one there.
    """
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
    elsewhere = [_folders(sibling) for sibling in siblings if sibling.is_dir()]
    known = any(len(names) > 1 and listing.folders[0] in names for names in elsewhere)
    return listing.folders if known else []


def _folders(directory: paths.Path) -> list[str]:
    """The visible folders in a directory, by name."""
    return [name for name in paths.folders(directory) if name[0] != "."]


def folder_label(file: str) -> str:
    """The name of the first-level folder of a file, that of a split left out; "" without one."""
    folders = file.split(os.sep)[:-1]
    named_as_split = folders and folders[0].lower() in (*_SPLIT_NAMES, *_DOMAINS)
    return next(iter(folders[1:] if named_as_split else folders), "")


@functools.cache
def image_suffixes() -> tuple[str, ...]:
    """The endings of the files that are read; GIF where this build of OpenCV has it."""
    has_gif = cv2.imdecode(np.frombuffer(_GIF, np.uint8), cv2.IMREAD_COLOR) is not None
    return (*_SUFFIXES, ".gif") if has_gif else _SUFFIXES


def parse_split(split: str) -> tuple[str, str | None, str | None]:
    """Reads "train[:90%]" as ("train", None, "90%")."""
    match = _SPLIT.fullmatch(split)
    if match is None:
        raise UserError(
            f"The split {split!r} cannot be understood: write a name such as 'train', or a part of"
            f" it such as 'train[:90%]' or 'train[100:200]', in {SPLIT_KEYS}."
        )
    return match[1], match[2], match[3]


def take_part(members: Sequence[Member], start: str | None, stop: str | None) -> Sequence[Member]:
    """The part of a split between two boundaries; percents are rounded to the nearest record."""
    size = len(members)
    return members[_boundary(start, size, 0) : _boundary(stop, size, size)]


def read_file(file: paths.Path) -> bytes:
    """Reads a whole file.

    Raises:
      UserError: It cannot be read.
    """
    try:
        return paths.read(file)
    except Exception as error:
        if not is_refused(error):
            raise
        reason = getattr(error, "strerror", None) or brief(error)
        raise UserError(
            f"{file} cannot be read ({reason}): restore it, or remove it and start again."
        ) from error


def _boundary(text: str | None, size: int, default: int) -> int:
    """A boundary of a part as a place in 0..size."""
    if text is None:
        return default
    place = round(int(text[:-1]) * size / 100) if text.endswith("%") else int(text)
    return max(0, min(size, place + size if place < 0 else place))


def split_directory(
    directory: paths.Path, split: str, suffixes: tuple[str, ...] = ()
) -> tuple[paths.Path, list[str]]:
    """The directory of a split, and the names of all splits; these are none where it is whole.

    Args:
      directory: Of the set.
      split: Its name.
      suffixes: Endings of what the set is made of; by default images'.

    Raises:
      UserError: There is no such directory or split, or it is not clear what the folders are.
    """
    if not directory.is_dir():
        raise UserError(
            f"There is no directory {directory}: name the one with the images in config.data.dir."
        )
    folders = _folders(directory)
    if split in folders and split.lower() not in _SPLIT_NAMES:
        return directory / split, [split]
    likely = [name for name in folders if name.lower() in (*_SPLIT_NAMES, *_DOMAINS)]
    beside = [name for name in folders if likely and name not in likely]
    others = [name for name in beside if _holds(directory / name, suffixes or image_suffixes())]
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


def _holds(folder: paths.Path, suffixes: tuple[str, ...]) -> bool:
    return bool(list_files(folder, suffixes, first=True).images)


def _names(folders: Sequence[str]) -> str:
    more = f" and {len(folders) - _FOLDERS_SHOWN} more" if len(folders) > _FOLDERS_SHOWN else ""
    return ", ".join(folders[:_FOLDERS_SHOWN]) + more


def skipped(listing: Listing) -> list[str]:
    """What is in the folders and is not read."""
    kinds = [f"{count:,} {kind}" for kind, count in listing.skipped.most_common(_KINDS_SHOWN)]
    rest = listing.skipped.total() - sum(n for _, n in listing.skipped.most_common(_KINDS_SHOWN))
    if rest:
        kinds.append(f"{rest:,} others")
    told = [f"skipped files: {', '.join(kinds)}"] if kinds else []
    if listing.repeated:
        told.append(f"{listing.repeated:,} links to folders that are read already")
    return told


def aside(told: Sequence[str]) -> str:
    """Puts what is told into brackets, if there is any."""
    return f" ({'; '.join(told)})" if told else ""


def path_hash(path: str) -> bytes:
    """What the records of a directory are sorted by, to look shuffled wherever it lies."""
    return hashlib.blake2b(Path(path).as_posix().encode(errors="surrogateescape")).digest()


def file_sizes(root: paths.Path, files: Sequence[str], listing: Listing) -> list[tuple[str, int]]:
    """Relative paths with their bytes: as listed in a bucket, or as they are on the disk."""
    sizes = listing.sizes
    return [(file, sizes[file] if sizes else _file_size(root / file)) for file in files]


def _file_size(file: paths.Path) -> int:
    """Bytes; -1 where the file is gone, which is told when it is read."""
    try:
        return os.path.getsize(file)
    except OSError:
        return -1
