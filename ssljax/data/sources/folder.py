"""Images in a directory, with or without a folder for each class, and with or without masks."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ssljax import paths
from ssljax.data.boxes import Boxes
from ssljax.data.fields import NO_PARTS, Field, Mask, Parts
from ssljax.data.sources.annotations import Annotations, check_box_classes, read_annotations
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

    With annotations in COCO's format the images are those that the file lists, by their paths in
    the split or in the directory, and each has its boxes.

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
          parts: What the numbers of masks mean, and where boxes stand.

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
        self._boxes = _boxes_of(top, name, parts) if parts.annotations else None
        self._masks: dict[str, str] = {}
        self._mask_root, self._mask_listing = root, listing
        if above or within:
            images = root if within else top / _IMAGES
            self._mask_root = images.parent / _MASKS / root.relative_to(images)
            self._mask_listing = _list_masks(self._mask_root, root)
            self._masks = _pair(root, files, self._mask_root, self._mask_listing.images)
        if self._boxes is not None:
            files = _annotated(root, files, self._boxes)
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
        """Image, label where there are classes, and mask and boxes where there are such."""
        found = dict(super().fields)
        if self._masks:
            found["mask"] = Mask(self._parts.void, self._parts.mask_classes)
        if self._boxes is not None:
            found["boxes"] = Boxes(
                self._parts.max_boxes, self._parts.box_classes, self._boxes.class_names
            )
        return found

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
        if self._boxes is not None:
            record["boxes"] = self._boxes.things[_posix(file)]
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
        boxes = [] if self._boxes is None else [self._boxes.digest]
        return [*images, *file_sizes(self._mask_root, masks, self._mask_listing), *boxes]

    def summary(self) -> str:
        """Images, classes and splits that were found, and what was skipped."""
        found = [super().summary()]
        if self._splits:
            found.append(f"splits {', '.join(self._splits)}")
        if self._masks:
            found.append(f"masks in {self._mask_root}")
        if self._boxes is not None:
            beside = len(self._listing.images) - len(self._boxes.things)
            rest = f", which says nothing of {beside:,} images" if beside else ""
            found.append(
                f"boxes of {len(self._boxes.class_names)} classes in {self._boxes.file}{rest}"
            )
        return "; ".join([*found, *skipped(self._listing)]) + f" ({self._root})"

    def _label(self, file: str) -> int | None:
        return self._class_index[file.split(os.sep, 1)[0]] if self._class_index else None


def _boxes_of(top: paths.Path, split: str, parts: Parts) -> Annotations:
    """The boxes of a split.

    Raises:
      UserError: There is no such file, or it is not as it should be.
    """
    boxes = read_annotations(top / parts.annotations.replace("{split}", split))
    check_box_classes(parts, len(boxes.class_names), str(boxes.file))
    return boxes


def _annotated(root: paths.Path, files: Sequence[str], boxes: Annotations) -> list[str]:
    """The images that a file of annotations lists, in the order of the files."""
    there = {_posix(file) for file in files}
    missing = sorted(set(boxes.things) - there)
    if missing or not boxes.things:
        lacks = f"lists {missing[0]!r}, which {root} lacks" if missing else "lists no images"
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{boxes.file} {lacks}{more}: name the folder of these images in config.data.dir and "
            "config.data.split, or another file in config.data.annotations."
        )
    return [file for file in files if _posix(file) in boxes.things]


def _posix(file: str) -> str:
    """A path as annotations write it."""
    return file.replace(os.sep, "/")


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
