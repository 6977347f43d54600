"""Image files as they lie in a folder, in the order of their paths."""

import os
from typing import Any

from ssljax import paths
from ssljax.data.sources.base import Record, Source
from ssljax.data.sources.layout import aside, file_sizes, image_suffixes, read_file, skipped
from ssljax.data.sources.listing import list_files
from ssljax.errors import UserError


class ImageFiles(Source):
    """All images in a directory and in the folders below it, without splits and labels.

    Attributes:
      files: Their paths, relative to the directory, sorted.
    """

    def __init__(self, directory: str | os.PathLike[str], key: str) -> None:
        """Lists the files; reads none of them.

        Args:
          directory: Where the images are, on a disk or in a bucket.
          key: The key of the config that names it, for messages.

        Raises:
          UserError: There is no such directory, or it holds no images.
        """
        self._root = paths.resolve(directory)
        if not self._root.is_dir():
            raise UserError(f"There is no directory {self._root}: name one with images in {key}.")
        self._listing = list_files(self._root, image_suffixes())
        self.files = sorted(self._listing.images)
        if not self.files:
            raise UserError(
                f"{self._root} holds no images: put files that end in {', '.join(image_suffixes())}"
                f" there or name another directory in {key}{aside(skipped(self._listing))}."
            )
        self.name, self.split, self.num_classes, self.class_names = "folder", "", None, ()

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Record:
        """Reads the bytes of a file.

        Raises:
          UserError: It cannot be read.
        """
        return {"image": read_file(self._root / self.files[index])}

    def describe(self, index: int) -> str:
        """The path of the file."""
        return str(self._root / self.files[index])

    def contents(self) -> Any:
        """Relative paths and sizes of the files."""
        return file_sizes(self._root, self.files, self._listing)
