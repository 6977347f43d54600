"""Progress of a pass over images: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import rich.console
import rich.progress

_log = logging.getLogger(__name__)
_QUIET_S = 30.0
"""Seconds between two lines."""

Item = TypeVar("Item")


def tracked(
    items: Iterable[Item], total: int, each: int, doing: str, enabled: bool = True
) -> Iterator[Item]:
    """Passes items on, and shows how far they are.

    Args:
      items: Batches.
      total: Images of all of them.
      each: Images of a batch; the last may have fewer.
      doing: What is done with them, such as "embedding".
      enabled: False shows nothing.

    Yields:
      The items.
    """
    if not enabled:
        yield from items
    elif sys.stderr.isatty():
        yield from _with_bar(items, total, each, doing)
    else:
        told = time.perf_counter()
        for number, item in enumerate(items):
            if time.perf_counter() - told >= _QUIET_S:
                told = time.perf_counter()
                _log.info("%s: %d of %d images", doing, number * each, total)
            yield item


def _with_bar(items: Iterable[Item], total: int, each: int, doing: str) -> Iterator[Item]:
    bar = rich.progress.Progress(
        "{task.description}",
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        console=rich.console.Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(doing, total=total)
        for number, item in enumerate(items, start=1):
            yield item
            bar.update(task, completed=min(total, number * each))
