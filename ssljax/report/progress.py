"""Progress of a run: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import rich.progress

_log = logging.getLogger(__name__)


class Progress:
    """Shows how far a run is; use it as a context manager.

    Args:
      total: Train steps of the run.
      first: Steps that were done before.
      enabled: False shows nothing, for all processes but the first.
      terminal: Whether to draw a bar; None asks standard error.
    """

    def __init__(
        self, total: int, first: int = 0, enabled: bool = True, terminal: bool | None = None
    ) -> None:
        self.total = total
        self._first, self._enabled = first, enabled
        self._start = time.perf_counter()
        self._bar: Any = None
        if enabled and (sys.stderr.isatty() if terminal is None else terminal):
            self._bar = rich.progress.Progress(
                "{task.description}",
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TimeRemainingColumn(),
                console=rich.console.Console(stderr=True),
            )
            self._task = self._bar.add_task("training", total=total, completed=first)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, step: int, scalars: Mapping[str, float]) -> None:
        """Shows a step.

        Args:
          step: Finished train steps.
          scalars: Its metrics; losses and speed are shown.
        """
        if not self._enabled:
            return
        shown = [f"{name} {x:.4g}" for name, x in scalars.items() if name.endswith("/loss")]
        if "images_per_second" in scalars:
            shown.append(f"{scalars['images_per_second']:,.0f} images/s")
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=", ".join(shown))
            return
        elapsed = time.perf_counter() - self._start
        left = elapsed / max(step - self._first, 1) * (self.total - step)
        _log.info("step %d/%d: %s, %s left", step, self.total, ", ".join(shown), _clock(left))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
