"""Ctrl-C and SIGTERM: a run that trains saves and stops; anywhere else the process ends at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from typing import Any


class Stop:
    """Notes SIGINT and SIGTERM instead of ending the program; use it as a context manager.

    Args:
      agreed: Whether several processes stop together. JAX listens to SIGTERM then and lets them
        agree on a step, so that SIGINT is passed on as SIGTERM.

    Attributes:
      asked: The signal that came, or None.
    """

    def __init__(self, agreed: bool = False) -> None:
        self.asked: signal.Signals | None = None
        self._agreed = agreed

    def __enter__(self) -> Stop:
        numbers = (signal.SIGINT,) if self._agreed else (signal.SIGINT, signal.SIGTERM)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        if number == signal.SIGINT and self.asked == signal.SIGINT:
            handler = self._before[signal.SIGINT]
            if callable(handler):
                handler(number, frame)
            return
        self.asked = signal.Signals(number)
        if self._agreed:
            os.kill(os.getpid(), signal.SIGTERM)


def end_at_interrupts() -> None:
    """Makes Ctrl-C end this process at once from now on, with one line and status 130.

    While a `Stop` is active only the second Ctrl-C does. Both also work while the main thread
    compiles or reads, when Python's own handlers would have to wait. Must be called from the main
    thread.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    # Without a handler in Python the system's would end the process before the line is printed.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    # The thread keeps the socket that is written to, which would otherwise be closed here.
    threading.Thread(target=_watch, args=(ours, theirs), daemon=True).start()


def _watch(signals: socket.socket, _: socket.socket) -> None:
    asked: Any = None
    while True:
        if signals.recv(1)[0] != signal.SIGINT:
            continue
        stop = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
        if stop is None or stop is asked:
            print("ssljax: Interrupted; what was saved before stays.", file=sys.stderr, flush=True)
            os._exit(128 + signal.SIGINT)
        asked = stop
        print("Stopping after this step; Ctrl-C again stops at once.", file=sys.stderr, flush=True)
