"""Boxes in COCO's format: one JSON file for all images of a folder."""

from __future__ import annotations

import collections
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ssljax import paths
from ssljax.data.boxes import Things
from ssljax.data.fields import Parts
from ssljax.data.sources.layout import read_file
from ssljax.errors import UserError, brief

_PARTS = ("images", "annotations", "categories")


class Annotations(NamedTuple):
    """The boxes of a folder's images.

    Attributes:
      file: Where they stand.
      things: By the path of an image below the folder.
      class_names: Of the categories, in the order of their ids: the first is class 0.
      digest: Of the file.
    """

    file: paths.Path
    things: dict[str, Things]
    class_names: tuple[str, ...]
    digest: str


def read_annotations(file: paths.Path) -> Annotations:
    """Reads a file such as COCO's `instances_val2017.json`.

    Args:
      file: On a disk or in a bucket.

    Returns:
      What it says; images without annotations are there, with no boxes.

    Raises:
      UserError: It is not there, is no JSON of this format, or names an image or a category that it
        does not have.
    """
    if not file.exists():
        raise UserError(
            f"There is no file {file}: name the one with the boxes in config.data.annotations, by "
            "its path below config.data.dir."
        )
    stored = read_file(file)
    try:
        whole = json.loads(stored)
    except ValueError as error:
        raise UserError(f"{file} is no JSON ({brief(error)}): correct it.") from error
    missing = [part for part in _PARTS if not isinstance(whole, dict) or part not in whole]
    if missing:
        raise UserError(
            f"{file} lacks the list {missing[0]!r}: a file of annotations has the lists "
            f"{', '.join(_PARTS)}, as COCO's instances have."
        )
    try:
        return _parse(file, whole, hashlib.blake2b(stored, digest_size=16).hexdigest())
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is not in COCO's format ({type(error).__name__}: {brief(error)}): an image has"
            " id, file_name, width and height, a category id and name, an annotation image_id,"
            " category_id and bbox (left, top, width, height)."
        ) from error


def check_box_classes(parts: Parts, known: int | None, name: str) -> None:
    """Raises a `UserError` unless boxes have as many classes as the config says, if it does."""
    if parts.box_classes and known and parts.box_classes != known:
        raise UserError(
            f"config.data.box_classes={parts.box_classes}, and the boxes of {name} are of {known} "
            f"class{'es' if known > 1 else ''}: set it to that."
        )


def _parse(file: paths.Path, whole: Mapping[str, Any], digest: str) -> Annotations:
    for part, key in (("images", "id"), ("images", "file_name"), ("categories", "id")):
        counts = collections.Counter(entry[key] for entry in whole[part])
        if twice := [value for value, count in counts.items() if count > 1]:
            raise UserError(f"{file} has several {part} of the {key} {twice[0]!r}: keep one.")
    categories = sorted(whole["categories"], key=lambda category: category["id"])
    classes = {category["id"]: number for number, category in enumerate(categories)}
    images = {image["id"]: image for image in whole["images"]}
    of_image: dict[Any, list[Mapping[str, Any]]] = {key: [] for key in images}
    for annotation in whole["annotations"]:
        for kind, key, known in (
            ("images", annotation["image_id"], images),
            ("categories", annotation["category_id"], classes),
        ):
            if key not in known:
                raise UserError(
                    f"{file} has an annotation of number {key!r} of the {kind}, which it lacks: "
                    "add it, or remove the annotation."
                )
        of_image[annotation["image_id"]].append(annotation)
    return Annotations(
        file=file,
        things={
            images[key]["file_name"]: _things(images[key], rows, classes)
            for key, rows in of_image.items()
        },
        class_names=tuple(str(category["name"]) for category in categories),
        digest=digest,
    )


def _things(
    image: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], classes: Mapping[Any, int]
) -> Things:
    if any(len(row["bbox"]) != 4 for row in rows):
        raise ValueError("a bbox has not 4 numbers")
    boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
    left, top, width, height = boxes.T
    sides = np.array([image["height"], image["width"]] * 2, np.float64)
    return Things(
        np.stack([top, left, top + height, left + width], axis=1) / sides,
        np.array([classes[row["category_id"]] for row in rows], np.int64),
        np.array([bool(row.get("iscrowd", 0)) for row in rows], bool),
        size=(int(image["height"]), int(image["width"])),
    )
