"""Labels of the images that are scored: whether there are enough, and which are missing."""

from __future__ import annotations

import logging
from collections.abc import Callable

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
