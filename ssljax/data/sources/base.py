"""The interface of a source of images: records with random access, and their names."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ssljax.data.fields import NOTHING, Field, Image, Label

NO_LABEL = NOTHING
"""What stands in an array for the label of a record that has none, as in TFDS."""

Record = dict[str, Any]
"""What was read, by field: for most sources "image", an encoded file or pixels, and "label"."""


SPLIT_KEYS = "config.data.split (config.evals.train_split and test_split for what is scored)"
"""Where a split is named, for messages."""


@runtime_checkable
class Source(Protocol):
    """Images with random access, from any thread.

    Attributes:
      name: What the user calls the set.
      split: Which part of it this is.
      num_classes: How many classes there are, or None when no record carries a label. Single
        records may still lack their labels.
      class_names: A name for each class; empty when there are none.
    """

    name: str
    split: str
    num_classes: int | None
    class_names: tuple[str, ...]

    @property
    def fields(self) -> Mapping[str, Field]:
        """What each record has, by name: see `ssljax.data.fields`."""
        return {"image": Image()} | ({} if self.num_classes is None else {"label": Label()})

    def __len__(self) -> int:
        """The number of records."""
        ...

    def read(self, index: int) -> Record:
        """Reads the record at `index`, from 0 to len - 1."""
        ...

    def describe(self, index: int) -> str:
        """Names the record at `index` for a reader of an error message."""
        ...

    def holder(self, index: int) -> str:
        """Names what the record at `index` is of: of what is corrupt, each holder counts once."""
        return self.describe(index)

    def read_many(self, indices: Sequence[int]) -> list[Record]:
        """Reads several records, in the order asked for."""
        return [self.read(i) for i in indices]

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes of several records, in the order asked for."""
        return [record.get("label") for record in self.read_many(indices)]

    def contents(self) -> Any:
        """What distinguishes these records from those of another set, as JSON; reads no image."""
        return [self.name, self.split]

    def summary(self) -> str:
        """What was found, for a reader of the log."""
        count = self.num_classes
        classes = f"{count:,} class{'es' if count > 1 else ''}" if count else "no labels"
        units = "clips" if "clip" in self.fields else "images"
        return f"{self.name}/{self.split}: {len(self):,} {units}, {classes}"


def fingerprint(source: Source) -> dict[str, Any]:
    """Describes the content of a set, to check later whether it has changed; reads no image.

    Args:
      source: The set.

    Returns:
      Its number of "images", its "classes" by name, and a "digest" of its contents, as JSON.
    """
    contents = json.dumps(source.contents(), ensure_ascii=True).encode()
    return {
        "images": len(source),
        "classes": list(source.class_names),
        "digest": hashlib.blake2b(contents, digest_size=16).hexdigest(),
    }


class ArraySource(Source):
    """Images that are in memory already."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        name: str = "array",
        split: str = "train",
    ) -> None:
        """Holds the arrays, without a copy.

        Args:
          images: Uint8, (N, H, W) or (N, H, W, C).
          labels: Integers from 0, (N,), and -1 where there is none.
          name: What to call the set in messages.
          split: Which part of the set this is.

        Raises:
          ValueError: A type or a shape is not one of these.
        """
        if images.dtype != np.uint8 or images.ndim not in (3, 4):
            raise ValueError(
                f"images must be uint8 (N, H, W[, C]), got {images.dtype} {images.shape}"
            )
        if labels is not None and (
            labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer)
        ):
            raise ValueError(
                f"labels must be {len(images)} integers, got {labels.dtype} {labels.shape}"
            )
        if labels is not None and labels.min(initial=0) < NO_LABEL:
            raise ValueError(f"labels must be from 0, or -1 for none, got {labels.min()}")
        self.name = name
        self.split = split
        self.num_classes = None if labels is None else int(labels.max(initial=-1)) + 1 or None
        self.class_names = tuple(str(k) for k in range(self.num_classes or 0))
        self._images = images
        self._labels = labels

    def __len__(self) -> int:
        return len(self._images)

    def read(self, index: int) -> Record:
        """Reads the record at `index`."""
        label = NO_LABEL if self._labels is None else int(self._labels[index])
        return {"image": self._images[index], "label": None if label == NO_LABEL else label}

    def describe(self, index: int) -> str:
        """Names a record by its place."""
        return f"{self.name}/{self.split} #{index}"
