"""What the evaluation `embedding_map` has written, as it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ssljax.page.charts import Pencil
from ssljax.page.series import listed

_MOST_CLASSES = 20
"""Classes of which a whole table of confusions is shown."""
_CONFUSED = 5


class Confusions(NamedTuple):
    """How a probe takes classes for each other.

    Attributes:
      caption: What the table shows.
      names: Of the classes.
      rows: Counts of images by true class, then by what it is taken for, with their share of the
        row in whole per cent; empty where there are too many classes.
      told: The classes that are confused most.
    """

    caption: str
    names: tuple[str, ...]
    rows: tuple[tuple[tuple[int, int], ...], ...]
    told: str


class Map(NamedTuple):
    """A map of embeddings.

    Attributes:
      svg: The map; empty where there is none.
      told: What is shown.
      confusions: Of a probe, where images have labels.
    """

    svg: str
    told: str
    confusions: Confusions | None


def of(note: Mapping[str, Any], pencil: Pencil) -> Map | None:
    """Draws what was written.

    Args:
      note: What the file holds.
      pencil: Draws it.

    Returns:
      The map; None where the file is not one's.
    """
    try:
        points = np.array(note["points"], np.float64)
        labels = np.array(note["labels"], np.int64)
        names = [str(name) for name in note["classes"]]
        told = _told(note, len(points))
        confusions = _confusions(note["confusion"], names) if note.get("confusion") else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    sound = points.ndim == 2 and points.shape[1:] == (2,) and labels.shape == points.shape[:1]
    if not sound or not np.isfinite(points).all() or labels.max(initial=-1) >= len(names):
        return None
    return Map(pencil.scatter(points, labels, names, told), told, confusions)


def _told(note: Mapping[str, Any], count: int) -> str:
    ways = {"tsne": "t-SNE, in which near means alike and far apart means nothing", "pca": "PCA"}
    return (
        f"{count:,} images of {note['split']} of {note['data']} by their {note['stage']} at step "
        f"{int(note['step']):,}, on a plane by {ways.get(note['method'], note['method'])}. Colours "
        "and shapes are the classes, which the network was not told unless it learns from labels."
    )


def _confusions(found: Mapping[str, Any], names: list[str]) -> Confusions:
    counts: Float[np.ndarray, "classes classes"] = np.array(found["matrix"], np.float64)
    if counts.shape != (len(names), len(names)) or not np.isfinite(counts).all():
        raise ValueError("not a matrix of classes by classes")
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.round(100 * counts / np.where(totals == 0, 1, totals)).astype(int)
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong.ravel(), kind="stable")[:_CONFUSED]
    pairs = [divmod(int(place), len(names)) for place in order if wrong.ravel()[place] > 0]
    most = [
        f"{names[true]} taken for {names[said]} ({counts[true, said]:,.0f} of "
        f"{totals[true, 0]:,.0f})"
        for true, said in pairs
    ]
    told = f"Confused most: {listed(most)}." if most else "No class is taken for another."
    rows = tuple(
        tuple((int(count), int(share)) for count, share in zip(row, part, strict=True))
        for row, part in zip(counts, shares, strict=True)
    )
    caption = (
        f"Confusions of {found['probe']}: of the images of each row's class, how many are taken "
        "for each column's."
    )
    return Confusions(caption, tuple(names), rows if len(names) <= _MOST_CLASSES else (), told)
