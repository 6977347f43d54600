"""Classes by name, whatever their numbers in a split, and labels that must be there."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ssljax.data.sources.base import Record, Source
from ssljax.errors import UserError

_NAMES_SHOWN = 5
_LABELS_TRIED = 256


class _Relabelled(Source):
    """The records of another source, with other labels."""

    def __init__(
        self,
        source: Source,
        relabel: Callable[[int, int | None], int | None],
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.name = source.name
        self.split = source.split
        self.class_names = source.class_names if class_names is None else tuple(class_names)
        self.num_classes = source.num_classes if class_names is None else len(class_names)
        self._source = source
        self._relabel = relabel

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Record:
        """Reads the record at `index`."""
        return self.read_many([index])[0]

    def read_many(self, indices: Sequence[int]) -> list[Record]:
        """Reads several records."""
        records = self._source.read_many(indices)
        return [
            record._replace(label=self._relabel(index, record.label))
            for index, record in zip(indices, records, strict=True)
        ]

    def read_labels(self, indices: Sequence[int]) -> list[int | None]:
        """Reads the classes of several records."""
        labels = self._source.read_labels(indices)
        return [self._relabel(i, label) for i, label in zip(indices, labels, strict=True)]

    def describe(self, index: int) -> str:
        """Names the record as the source does."""
        return self._source.describe(index)

    def contents(self) -> Any:
        """Those of the source."""
        return self._source.contents()

    def summary(self) -> str:
        """What was found in the source."""
        return self._source.summary()


def with_classes(source: Source, names: Sequence[str], owner: str) -> Source:
    """Gives the classes of a source the numbers that they have elsewhere, by their names.

    Args:
      source: The images; without labels it stays as it is.
      names: Names of the known classes, in the order of their numbers.
      owner: Whose classes they are, for the message.

    Returns:
      The source, with `names` for its classes; a name may be without images.

    Raises:
      UserError: The source has a class of another name.
    """
    if source.num_classes is None or source.class_names == tuple(names):
        return source
    known = frozenset(names)
    strange = [name for name in source.class_names if name not in known]
    if strange:
        raise UserError(
            f"{source.name}/{source.split} has {_quoted(strange, 'class', 'classes')} that"
            f" {owner} lacks, which has {_quoted(names, 'class', 'classes')}: rename or leave out"
            " the former, or choose another set."
        )
    places = {name: k for k, name in enumerate(names)}
    numbers = [places[name] for name in source.class_names]
    return _Relabelled(
        source, lambda _, label: None if label is None else numbers[label], class_names=names
    )


def with_labels(source: Source, who: str, every: bool) -> Source:
    """Checks whether a source has the labels that are needed, without reading all of it.

    Args:
      source: The images.
      who: Needs the labels, for the message.
      every: Whether each image must have one, or just some.

    Returns:
      The source; with `every`, one that refuses an image without a label where it is read.

    Raises:
      UserError: Labels are missing, as far as a look at some of the records tells.
    """
    if every:
        source = _Relabelled(source, functools.partial(_demand_label, source, who))
    if source.num_classes is None:
        return source
    size = len(source)
    tried = [i * size // _LABELS_TRIED for i in range(_LABELS_TRIED)]
    for indices in (sorted(set(tried)), range(size)):
        if any(label is not None for label in source.read_labels(indices)):
            return source
    raise UserError(
        f"{source.name}/{source.split} has classes, but none of its images has a label (TFDS writes"
        f" -1), and {who} learns from labels: choose another split in config.data.split."
    )


def _demand_label(source: Source, who: str, index: int, label: int | None) -> int:
    if label is None:
        raise UserError(
            f"{source.describe(index)} has no label, and {who} needs one of every image:"
            " choose a split in config.data.split in which each has one."
        )
    return label


def _quoted(names: Sequence[str], one: str, many: str) -> str:
    shown = ", ".join(map(repr, names[:_NAMES_SHOWN]))
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"the {one if len(names) == 1 else many} {shown}{more}"
