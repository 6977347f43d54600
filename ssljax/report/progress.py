"""Progress of a run: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import rich.progress

_log = logging.getLogger(__name__)
_FIRST_S, _QUIET_S = 10.0, 30.0
"""Seconds after which something is written where nothing else was: at the start, and later."""


class Progress:
    """Shows how far a run is; use it as a context manager.

    Away from a terminal a line is written for every step that is shown, and whenever none was
    written for half a minute, whatever the run does.

    Args:
      total: Train steps of the run.
      first: Steps that were done before.
      enabled: False shows nothing, for all processes but the first.
      terminal: Whether to draw a bar; None asks standard error.
      clock: Seconds from any fixed moment.

    Attributes:
      doing: What the run does now, for lines that are written between steps.
    """

    def __init__(
        self,
        total: int,
        first: int = 0,
        enabled: bool = True,
        terminal: bool | None = None,
        clock: Any = time.perf_counter,
    ) -> None:
        self.total, self.doing = total, "starting"
        self._enabled, self._clock = enabled, clock
        self._step, self._shown = first, ""
        self._speed: float | None = None
        # The first step that is shown comes after compilation, which no other step waits for.
        self._counted: tuple[int, float] | None = None
        self._told, self._quiet = clock(), _FIRST_S
        self._bar: Any = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
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
        elif self._enabled:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar.stop()
        if self._thread is not None:
            self._thread.join()

    def update(self, step: int, scalars: Mapping[str, float], show: bool = True) -> None:
        """Takes note of a step.

        Args:
          step: Finished train steps.
          scalars: Its metrics; losses and speed are shown.
          show: Whether to write a line now.
        """
        if not self._enabled:
            return
        if self._counted is None:
            self._counted = step, self._clock()
        self.doing = "training"
        shown = [f"{name} {x:.4g}" for name, x in scalars.items() if name.endswith("/loss")]
        # The speed is measured over several steps, and known at some of them only.
        self._speed = scalars.get("images_per_second", self._speed)
        if self._speed is not None:
            shown.append(f"{self._speed:,.0f} images/s")
        self._step, self._shown = step, ", ".join(shown)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=self._shown)
        elif show:
            self._write(f"{self._shown}{self._left()}")

    def end_of_training(self) -> None:
        """Ends the bar: what follows the last step prints."""
        self.doing = "scoring"
        if self._bar is not None:
            self._bar.stop()

    def tick(self) -> None:
        """Writes a line if none was written for a while."""
        if self._clock() - self._told < self._quiet:
            return
        if self.doing == "training":
            self._write(f"{self._shown}{self._left()}")
        else:
            self._write(self.doing)

    def _watch(self) -> None:
        while not self._ended.wait(1.0):
            self.tick()

    def _write(self, what: str) -> None:
        self._told, self._quiet = self._clock(), _QUIET_S
        _log.info("step %d/%d: %s", self._step, self.total, what)

    def _left(self) -> str:
        """The time that is left, from the steps after the first that was seen."""
        if self._counted is None or self._step <= self._counted[0]:
            return ""
        seconds = (self._clock() - self._counted[1]) / (self._step - self._counted[0])
        return f", {_clock(seconds * (self.total - self._step))} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
