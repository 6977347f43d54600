"""Images in a directory, with or without a folder for each class, and with or without masks."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ssljax import paths
from ssljax.data.fields import NO_PARTS, Field, Mask, Parts
from ssljax.data.sources.base import SPLIT_KEYS, Record, Source
from ssljax.data.sources.layout import (
    aside,
    class_folders,
    file_sizes,
    image_suffixes,
    parse_split,
    path_hash,
    read_file,
    skipped,
    split_directory,
    take_part,
)
from ssljax.data.sources.listing import Listing, list_files
from ssljax.errors import UserError

_IMAGES, _MASKS = "images", "masks"


class FolderSource(Source):
    """The images in a directory and in all folders below it.

    First-level folders with images are splits if all of them have names of splits ("train", "val",
    "test", "unlabelled", ..., and "trainA", "testB", ... of unpaired sets), and no splits if at
    most one has: a class may be called "train".
    Within a split, or in a directory without splits, when every image lies in one of several
    first-level folders, these folders, sorted by name, are the classes; otherwise there are no
    labels. A single folder is a class only if it is one in another split. The records are in an
    order that depends on their relative paths alone and looks random (a hash), so a part such as
    "train[:90%]" holds every class.

    In a directory that holds `images` and `masks`, or in a split that does, each image has the mask
    of the same path and name, whatever their endings; the rest holds for `images`.

    Links to folders are followed, and each folder is read once, whatever leads to it. From a bucket
    each image is read when it is needed.
    """

    def __init__(
        self, directory: str | os.PathLike[str], split: str = "train", parts: Parts = NO_PARTS
    ) -> None:
        """Lists the files; reads none of them.

        Args:
          directory: Where the images are, on a disk or in a bucket.
          split: The name of a split's folder, or a part of it as TFDS writes it: "train[:90%]",
            "train[100:200]". In a directory without splits "train" and "" mean all of it.
          parts: What the numbers of masks mean.

        Raises:
          UserError: There is no such directory, split or part, or it holds no images, or its
            folders are neither all splits nor all classes, or a mask or its image is missing.
        """
        name, start, stop = parse_split(split)
        top = paths.resolve(directory)
        above = _has_masks(top)
        root, self._splits = split_directory(top / _IMAGES if above else top, name)
        siblings = [root.parent / each for each in self._splits]
        within = not above and _has_masks(root)
        if within:
            root, siblings = root / _IMAGES, [each / _IMAGES for each in siblings]
        listing = list_files(root, image_suffixes())
        files = sorted(listing.images, key=path_hash)
        if not files:
            raise UserError(
                f"{root} holds no images: put files that end in {', '.join(image_suffixes())} there"
                f" or name another directory in config.data.dir{aside(skipped(listing))}."
            )
        self._masks: dict[str, str] = {}
        self._mask_root, self._mask_listing = root, listing
        if above or within:
            images = root if within else top / _IMAGES
            self._mask_root = images.parent / _MASKS / root.relative_to(images)
            self._mask_listing = _list_masks(self._mask_root, root)
            self._masks = _pair(root, files, self._mask_root, self._mask_listing.images)
        classes = class_folders(root, listing, siblings)
        self._files = take_part(files, start, stop)
        if not self._files:
            raise UserError(
                f"The split {split!r} of {root} is empty: choose a part of its {len(files)} images"
                f" in {SPLIT_KEYS}."
            )
        self._root = root
        self._listing = listing
        self._parts = parts
        self._class_index = {folder: k for k, folder in enumerate(classes)}
        self.name = "folder"
        self.split = split
        self.num_classes = len(classes) or None
        self.class_names = tuple(classes)

    @property
    def fields(self) -> Mapping[str, Field]:
        """Image, label where there are classes, and mask where there are masks."""
        mask = Mask(self._parts.void, self._parts.mask_classes)
        return {**super().fields, **({"mask": mask} if self._masks else {})}

    def __len__(self) -> int:
        return len(self._files)

    def read(self, index: int) -> Record:
        """Reads the bytes of a file, and of its mask.

        Raises:
          UserError: A file cannot be read.
        """
        file = self._files[index]
        record: Record = {"image": read_file(self._root / file), "label": self._label(file)}
        if self._masks:
            record["mask"] = read_file(self._mask_root / self._masks[file])
        return record

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes from the paths; no file is opened."""
        return [self._label(self._files[i]) for i in indices]

    def describe(self, index: int) -> str:
        """The path of the file."""
        return str(self._root / self._files[index])

    def contents(self) -> Any:
        """Relative paths and sizes of the files."""
        files = sorted(self._files)
        masks = [self._masks[file] for file in files if self._masks]
        images = file_sizes(self._root, files, self._listing)
        return [*images, *file_sizes(self._mask_root, masks, self._mask_listing)]

    def summary(self) -> str:
        """Images, classes and splits that were found, and what was skipped."""
        found = [super().summary()]
        if self._splits:
            found.append(f"splits {', '.join(self._splits)}")
        if self._masks:
            found.append(f"masks in {self._mask_root}")
        return "; ".join([*found, *skipped(self._listing)]) + f" ({self._root})"

    def _label(self, file: str) -> int | None:
        return self._class_index[file.split(os.sep, 1)[0]] if self._class_index else None


def _has_masks(directory: paths.Path) -> bool:
    return all((directory / name).is_dir() for name in (_IMAGES, _MASKS))


def _list_masks(mask_root: paths.Path, root: paths.Path) -> Listing:
    if not mask_root.is_dir():
        raise UserError(f"There is no directory {mask_root}: put the masks of {root} there.")
    return list_files(mask_root, image_suffixes())


def _pair(
    root: paths.Path, files: Sequence[str], mask_root: paths.Path, masks: Sequence[str]
) -> dict[str, str]:
    """The mask of each image, by equal paths without their endings."""
    stems = {os.path.splitext(mask)[0]: mask for mask in masks}
    wanted = {os.path.splitext(file)[0]: file for file in files}
    for where, names, found in ((root, files, wanted), (mask_root, masks, stems)):
        if len(found) < len(names):
            count = Counter(os.path.splitext(name)[0] for name in names)
            raise UserError(
                f"{where} has several files {count.most_common(1)[0][0]!r} with different endings,"
                " so it is not clear which mask is of which image: rename or remove all but one."
            )
    for here, there, missing in (
        (root, mask_root, sorted(set(wanted) - set(stems))),
        (mask_root, root, sorted(set(stems) - set(wanted))),
    ):
        if missing:
            more = f" and of {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(
                f"{there} has no counterpart of {missing[0]!r} in {here}{more}: each image needs a"
                " mask of the same name, and each mask its image."
            )
    return {file: stems[stem] for stem, file in wanted.items()}
