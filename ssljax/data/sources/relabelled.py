"""The records of a source under other labels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ssljax.data.fields import Field
from ssljax.data.sources.base import Record, Source


class Relabelled(Source):
    """The records of another source, with other labels."""

    def __init__(
        self,
        source: Source,
        relabel: Callable[[int, int | None], int | None],
        class_names: Sequence[str] | None = None,
    ) -> None:
        """Wraps a source.

        Args:
          source: The records.
          relabel: Gives the label that replaces the one at an index.
          class_names: Names of the classes of the new labels; those of the source by default.
        """
        self.name = source.name
        self.split = source.split
        self.class_names = source.class_names if class_names is None else tuple(class_names)
        self.num_classes = source.num_classes if class_names is None else len(class_names)
        self._source = source
        self._relabel = relabel

    @property
    def fields(self) -> Mapping[str, Field]:
        """Those of the source."""
        return self._source.fields

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Record:
        """Reads the record at `index`."""
        return self.read_many([index])[0]

    def read_many(self, indices: Sequence[int]) -> list[Record]:
        """Reads several records."""
        records = self._source.read_many(indices)
        return [
            {**record, "label": self._relabel(index, record.get("label"))}
            for index, record in zip(indices, records, strict=True)
        ]

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes of several records."""
        labels = self._source.read_labels(indices)
        return [self._relabel(i, label) for i, label in zip(indices, labels, strict=True)]

    def describe(self, index: int) -> str:
        """Names the record as the source does."""
        return self._source.describe(index)

    def holder(self, index: int) -> str:
        """Names what it is of as the source does."""
        return self._source.holder(index)

    def contents(self) -> Any:
        """Those of the source."""
        return self._source.contents()

    def summary(self) -> str:
        """What was found in the source."""
        return self._source.summary()
