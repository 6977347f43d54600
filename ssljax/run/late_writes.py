"""Writes that end after the save that they belong to has failed, such as on a full disk."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

from ssljax import paths


def remove(path: paths.Path) -> None:
    """Removes a directory that late writes of a failed save may still be filling.

    What they make after the last attempt is left to the next save.
    """
    for seconds in (0.0, 0.1, 0.3, 1.0):
        time.sleep(seconds)
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return


def pass_over() -> None:
    """Silences them: `Checkpoints.save` reports what failed.

    After a failed save TensorStore still calls into the event loop that Orbax has closed, and
    prints what that raises.
    """
    uncaught, unraisable = sys.excepthook, sys.unraisablehook

    def on_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not _is_late_write(error, trace):
            uncaught(kind, error, trace)

    def on_unraisable(told: Any) -> None:
        if not _is_late_write(told.exc_value, told.exc_traceback):
            unraisable(told)

    sys.excepthook, sys.unraisablehook = on_uncaught, on_unraisable


def _is_late_write(error: BaseException | None, trace: Any) -> bool:
    # Called by no frame of Python's: no error of the program's own looks like this.
    outermost = trace.tb_frame.f_code.co_name if trace is not None else ""
    return outermost == "call_soon_threadsafe" and str(error) == "Event loop is closed"
