"""Labels of the images that are scored: whether there are enough, and which are missing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from ssljax import data
from ssljax.errors import UserError
from ssljax.evals.contract import Run, leave_out

_log = logging.getLogger(__name__)
_AT_ONCE = 1024

Counts = Int[np.ndarray, "classes"]


def count(
    run: Run, scan: data.Scan, evaluation: str, enough: Callable[[Counts], bool | np.bool] = np.any
) -> Counts:
    """Counts the labelled images of each class, until there are enough; no image is decoded.

    Args:
      run: The run.
      scan: The images.
      evaluation: Name of the evaluation that needs labels, for the message.
      enough: Whether so many of each class are enough.

    Returns:
      The counts: of all images where there are not enough.

    Raises:
      UserError: If there is no label at all.
    """
    source = scan.source
    name = run.name_of(source.split)
    another = f"choose a labelled set in config.evals.name, or {leave_out(evaluation)}."
    if source.num_classes is None:
        raise UserError(
            f"{name} has no labels, and {evaluation} needs them: name the feature in "
            f"config.data.label_key, or {another}"
        )
    counter = run.once(_Counter, source)
    while not enough(counter.counts) and counter.read_more():
        pass
    if not counter.counts.any():
        raise UserError(
            f"None of the images of {name} has a label, and {evaluation} needs some: {another}"
        )
    return counter.counts


def has_some(run: Run, scan: data.Scan) -> bool:
    """Whether any of the images has a label; no image is decoded."""
    if scan.source.num_classes is None:
        return False
    counter = run.once(_Counter, scan.source)
    while not counter.counts.any() and counter.read_more():
        pass
    return bool(counter.counts.any())


class _Counter:
    """Labelled images of each class of a source, as far as they have been counted."""

    def __init__(self, run: Run, source: data.Source) -> None:
        assert source.num_classes is not None
        self.counts = np.zeros(source.num_classes, np.int64)
        self._source, self._read = source, 0
        self._threads = run.experiment.config.data.threads or None

    def read_more(self) -> bool:
        """Counts some more; whether there were any."""
        part = np.arange(self._read, min(self._read + _AT_ONCE, len(self._source)))
        labels = data.read_labels(data.Subset(self._source, part), self._threads)
        self.counts += np.bincount(labels[labels >= 0], minlength=len(self.counts))
        self._read += len(part)
        return len(part) > 0


class Truth(NamedTuple):
    """Of which classes the images of a split are.

    Attributes:
      labels: 1 where an image has a class, 0 where it has not, -1 where that is not known.
      names: Of the classes.
    """

    labels: Int[np.ndarray, "images classes"]
    names: tuple[str, ...]


def truth(run: Run, scan: data.Scan, evaluation: str) -> Truth:
    """Reads of which classes the images are; none is decoded.

    Where records have several classes those are read, and else the one that each is labelled with,
    against all others.

    Args:
      run: The run.
      scan: The images.
      evaluation: Name of the evaluation that needs them, for the message.

    Raises:
      UserError: If there are no labels.
    """
    if not data.label_names(scan.source):
        count(run, scan, evaluation)
    return run.once(_truth, scan.source)


def scored_truth(run: Run, scan: data.Scan, evaluation: str) -> Truth:
    """The same of images that are reported on; each class must be seen in some of them.

    Raises:
      UserError: As `truth` does, or if a class is in none of them.
    """
    found = truth(run, scan, evaluation)
    for name, labels in zip(found.names, found.labels.T, strict=True):
        if not (labels == 1).any():
            raise UserError(
                f"No image of {run.name_of(scan.source.split)} surely shows the class {name!r}, so "
                "that its average precision is not defined: choose another "
                f"config.evals.test_split, or {leave_out(evaluation)}."
            )
    return found


def _truth(run: Run, source: data.Source) -> Truth:
    threads = run.experiment.config.data.threads or None
    if names := data.label_names(source):
        return Truth(data.read_multi_labels(source, threads).astype(np.int8), names)
    labels = data.read_labels(source, threads)
    assert source.num_classes is not None
    one_hot = (labels[:, None] == np.arange(source.num_classes)[None]).astype(np.int8)
    return Truth(np.where(labels[:, None] < 0, np.int8(-1), one_hot), source.class_names)


def tell_left_out(run: Run, split: str, left_out: int, kept: int) -> None:
    """Logs, once a split, how many images have no label and are not scored."""
    if left_out and jax.process_index() == 0:
        run.once(_tell, split, left_out, kept)


def _tell(run: Run, split: str, left_out: int, kept: int) -> None:
    _log.warning(
        "%d images of %s have no label and are left out of its scores, which are of the other %d.",
        left_out,
        run.name_of(split),
        kept,
    )
