"""Few labels: the classes of a source, a part of its records, and labels that are kept back."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Int, Int32

from ssljax.data.fields import Field
from ssljax.data.pipeline import default_threads
from ssljax.data.sources.base import NO_LABEL, Record, Source
from ssljax.data.sources.relabelled import Relabelled
from ssljax.errors import UserError

# Large enough to hide the cost of a task, small enough to hold few records at a time.
_RECORDS_PER_TASK = 256


class Subset(Source):
    """Some records of a source, in their own order; the others are never read."""

    def __init__(
        self,
        source: Source,
        indices: Int[np.ndarray, "records"],
        only: Collection[str] | None = None,
    ) -> None:
        """Picks the records.

        Args:
          source: The whole set.
          indices: Places in it.
          only: Names of the fields that records have; all by default.
        """
        self.name = source.name
        self.split = source.split
        self.num_classes = source.num_classes
        self.class_names = source.class_names
        self._source = source
        self._indices = np.sort(indices).tolist()
        self._only = only

    @property
    def fields(self) -> Mapping[str, Field]:
        """Those of the whole set, or some of them."""
        only = self._only
        whole = self._source.fields
        return whole if only is None else {name: whole[name] for name in whole if name in only}

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, index: int) -> Record:
        """Reads the record at `index` of the subset."""
        return self._source.read(self._indices[index])

    def read_many(self, indices: Sequence[int]) -> list[Record]:
        """Reads several records of the subset."""
        return self._source.read_many([self._indices[i] for i in indices])

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes of several records of the subset."""
        return self._source.read_labels([self._indices[i] for i in indices])

    def describe(self, index: int) -> str:
        """Names the record as in the whole set."""
        return self._source.describe(self._indices[index])

    def holder(self, index: int) -> str:
        """Names what it is of as the whole set does."""
        return self._source.holder(self._indices[index])

    def contents(self) -> Any:
        """Those of the whole set, and the places in it."""
        return [self._source.contents(), self._indices]

    def summary(self) -> str:
        """How much of the whole set this is."""
        return f"{len(self):,} of {self._source.summary()}"


class FewLabels(Relabelled):
    """All images of a source, only some of them with their class; the others have label -1."""

    def __init__(self, source: Source, labelled: Int[np.ndarray, "records"]) -> None:
        """Keeps most labels back.

        Args:
          source: The whole set.
          labelled: Places in it that keep their labels.
        """
        self._labelled = frozenset(labelled.tolist())
        super().__init__(source, lambda index, label: label if index in self._labelled else None)

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes of several records that show theirs; of the others nothing is read."""
        shown = [index for index in indices if index in self._labelled]
        labels = dict(zip(shown, super().read_labels(shown), strict=True))
        return [labels.get(index) for index in indices]

    def contents(self) -> Any:
        """Those of the whole set, and the places that keep their labels."""
        return [super().contents(), sorted(self._labelled)]

    def summary(self) -> str:
        """The whole set, and how many labels are known."""
        return f"{super().summary()}, {len(self._labelled):,} labels known"


def read_labels(source: Source, threads: int | None = None) -> Int32[np.ndarray, "records"]:
    """Reads the class of every record; no image is decoded.

    Args:
      source: The images.
      threads: How many threads read. By default one for each CPU, at most 16.

    Returns:
      Classes from 0; -1 where there is none.
    """
    size = len(source)
    parts = [range(i, min(i + _RECORDS_PER_TASK, size)) for i in range(0, size, _RECORDS_PER_TASK)]
    with ThreadPoolExecutor(threads or default_threads()) as pool:
        labels = [label for part in pool.map(source.read_labels, parts) for label in part]
    return np.array([NO_LABEL if label is None else label for label in labels], np.int32)


def labelled_rows(
    labels: Int[np.ndarray, "records"],
    num_classes: int,
    per_class: float,
    seed: int,
    key: str,
    class_names: Sequence[str] = (),
) -> Int[np.ndarray, "rows"]:
    """Draws the records whose labels are known.

    The draw depends on the classes and the seed alone, never on images or features: every network
    learns from, or is judged on, the same records. At one seed a smaller draw is part of a larger
    one.

    Args:
      labels: Class of each record, -1 for none. A class without records is left out.
      num_classes: Number of classes.
      per_class: Records of each class; below 1, the share of each class, rounded, at least one.
      seed: Of the draw.
      key: Where `per_class` is set, for the message.
      class_names: Names of the classes, likewise; their numbers where there are none.

    Returns:
      Indices into `labels`, grouped by class and in random order within one.

    Raises:
      UserError: A class has fewer records than `per_class`, or no record has a label.
      ValueError: `per_class` is not positive.
    """
    if per_class <= 0:
        raise ValueError(f"per_class is {per_class}; it must be positive.")
    rng = np.random.default_rng([seed, 2])
    chosen = []
    for label in range(num_classes):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if not len(rows):
            continue
        if len(rows) < per_class:
            name = repr(class_names[label]) if class_names else label
            raise UserError(
                f"{key} wants {per_class:g} labels a class, but class {name} has {len(rows)} in "
                f"train: ask for at most {len(rows)}."
            )
        count = int(per_class) if per_class >= 1 else max(round(per_class * len(rows)), 1)
        chosen.append(rows[:count])
    if not chosen:
        raise UserError(f"{key} wants labels, but none of the {len(labels)} images has one.")
    return np.concatenate(chosen)
