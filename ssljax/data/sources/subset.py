"""Few labels: the classes of a source, a part of its records, and labels that are kept back."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Int, Int32

from ssljax.data.pipeline import default_threads
from ssljax.data.sources.base import NO_LABEL, Record, Source

# Large enough to hide the cost of a task, small enough to hold few records at a time.
_RECORDS_PER_TASK = 256


class Subset(Source):
    """Some records of a source, in their own order; the others are never read."""

    def __init__(self, source: Source, indices: Int[np.ndarray, "records"]) -> None:
        """Picks the records.

        Args:
          source: The whole set.
          indices: Places in it.
        """
        self.name = source.name
        self.split = source.split
        self.num_classes = source.num_classes
        self.class_names = source.class_names
        self._source = source
        self._indices = np.sort(indices).tolist()

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

    def contents(self) -> Any:
        """Those of the whole set, and the places in it."""
        return [self._source.contents(), self._indices]

    def summary(self) -> str:
        """How much of the whole set this is."""
        return f"{len(self):,} of {self._source.summary()}"


class FewLabels(Source):
    """All images of a source, only some of them with their class; the others have label -1."""

    def __init__(self, source: Source, labelled: Int[np.ndarray, "records"]) -> None:
        """Keeps most labels back.

        Args:
          source: The whole set.
          labelled: Places in it that keep their labels.
        """
        self.name = source.name
        self.split = source.split
        self.num_classes = source.num_classes
        self.class_names = source.class_names
        self._source = source
        self._labelled = frozenset(labelled.tolist())

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Record:
        """Reads the record at `index`."""
        return self.read_many([index])[0]

    def read_many(self, indices: Sequence[int]) -> list[Record]:
        """Reads several records."""
        records = self._source.read_many(indices)
        return [
            record if index in self._labelled else record._replace(label=None)
            for index, record in zip(indices, records, strict=True)
        ]

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes of several records that show theirs; of the others nothing is read."""
        shown = [index for index in indices if index in self._labelled]
        labels = dict(zip(shown, self._source.read_labels(shown), strict=True))
        return [labels.get(index) for index in indices]

    def describe(self, index: int) -> str:
        """Names the record as in the whole set."""
        return self._source.describe(index)

    def contents(self) -> Any:
        """Those of the whole set, and the places that keep their labels."""
        return [self._source.contents(), sorted(self._labelled)]

    def summary(self) -> str:
        """The whole set, and how many labels are known."""
        return f"{self._source.summary()}, {len(self._labelled):,} labels known"


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
