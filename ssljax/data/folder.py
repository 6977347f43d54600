"""Images in a directory, with or without a folder for each class."""

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ssljax.data.sources import Record, Source
from ssljax.errors import UserError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_SPLIT = re.compile(r"([^\[\]]*)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")

_log = logging.getLogger(__name__)


class FolderSource(Source):
    """The images in a directory and in all folders below it.

    When every image lies in one of several first-level folders, these folders, sorted by name, are
    the classes; otherwise there are no labels. The records are in an order that depends on their
    relative paths alone and looks random (a hash), so a part such as "train[:90%]" holds every
    class.
    """

    def __init__(self, directory: str | os.PathLike[str], split: str = "train") -> None:
        """Lists the files; reads none of them.

        Args:
          directory: where the images are. If it has a folder that is named like the split, that
            folder is used; if not, "train" and "" mean the whole directory.
          split: a name, or a part of it as TFDS writes it: "train[:90%]", "train[100:200]".

        Raises:
          UserError: there is no such directory, split or part, or it holds no images.
        """
        name, start, stop = _parse_split(split)
        root = _split_directory(Path(directory).expanduser(), name)
        files = _list_images(root)
        if not files:
            raise UserError(
                f"{root} holds no images: put files that end in {', '.join(_SUFFIXES)} there or"
                " name another directory in config.data.dir."
            )
        classes = _class_folders(root, files)
        part = slice(_boundary(start, len(files), 0), _boundary(stop, len(files), len(files)))
        self._files = files[part]
        if not self._files:
            raise UserError(
                f"The split {split!r} of {root} is empty: choose a part of its {len(files)} images"
                " in config.data.split."
            )
        self._root = root
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
          UserError: the file cannot be read.
        """
        file = self._files[index]
        try:
            data = (self._root / file).read_bytes()
        except OSError as error:
            raise UserError(
                f"{self.describe(index)} cannot be read ({error.strerror}): restore it, or start"
                " again so that the directory is listed anew."
            ) from error
        return Record(data, self._label(file))

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes from the paths; no file is opened."""
        return [self._label(self._files[i]) for i in indices]

    def describe(self, index: int) -> str:
        """The path of the file."""
        return str(self._root / self._files[index])

    def _label(self, file: str) -> int | None:
        return self._class_index[file.split(os.sep, 1)[0]] if self._class_index else None


def _parse_split(split: str) -> tuple[str, str | None, str | None]:
    match = _SPLIT.fullmatch(split)
    if match is None:
        raise UserError(
            f"The split {split!r} cannot be understood: write a name such as 'train' in"
            " config.data.split, or a part of it such as 'train[:90%]' or 'train[100:200]'."
        )
    return match[1], match[2], match[3]


def _boundary(text: str | None, size: int, default: int) -> int:
    """A boundary of a part as a place in 0..size; percents are rounded to the nearest record."""
    if text is None:
        return default
    place = round(int(text[:-1]) * size / 100) if text.endswith("%") else int(text)
    return max(0, min(size, place + size if place < 0 else place))


def _split_directory(directory: Path, split: str) -> Path:
    if not directory.is_dir():
        raise UserError(
            f"There is no directory {directory}: name the one with the images in config.data.dir."
        )
    if (directory / split).is_dir():
        return directory / split
    if split in ("", "train"):
        return directory
    folders = sorted(p.name for p in directory.iterdir() if p.is_dir())
    raise UserError(
        f"{directory} has no split {split!r}: make a folder of that name in it, or choose one of"
        f" {', '.join(['train', *folders[:10]])} in config.data.split."
    )


def _list_images(root: Path) -> list[str]:
    """Paths relative to `root`, in the order of a hash of themselves; hidden ones are skipped."""
    files = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [
            os.path.relpath(os.path.join(folder, name), root)
            for name in names
            if name.lower().endswith(_SUFFIXES) and not name.startswith(".")
        ]
    return sorted(files, key=_path_hash)


def _path_hash(path: str) -> bytes:
    return hashlib.blake2b(Path(path).as_posix().encode(errors="surrogateescape")).digest()


def _class_folders(root: Path, files: list[str]) -> list[str]:
    """The first-level folders if they are classes; an empty one counts, so that numbers stay."""
    loose = sum(os.sep not in file for file in files)
    if loose == len(files):
        return []
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if loose:
        _log.warning(
            "%s has %d images beside its folders, so the folders are not taken for classes and"
            " there are no labels.",
            root,
            loose,
        )
        return []
    return folders if len(folders) > 1 else []
