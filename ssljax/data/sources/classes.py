"""Classes by name, whatever their numbers in a split, and labels that must be there."""

import functools
from collections.abc import Sequence

from ssljax.data.sources.base import Source
from ssljax.data.sources.relabelled import Relabelled
from ssljax.errors import UserError

_NAMES_SHOWN = 5
_LABELS_TRIED = 256


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
    return Relabelled(
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
      UserError: If labels are missing, as far as some of the records show.
    """
    if every:
        source = Relabelled(source, functools.partial(_demand_label, source, who))
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
