"""One run at a time in a workdir: a file that the process which trains there keeps alive.

The file needs neither appending nor renaming, and may lie in a bucket: it is created where there is
none, and written whole every few seconds. On the machine that wrote it a process is looked up by
its number; elsewhere the file is watched, and no two clocks are ever compared.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import pathlib
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from ssljax import paths
from ssljax.errors import StoppedError, UserError, is_refused

_log = logging.getLogger(__name__)
_BEAT_S = 5.0
"""Seconds between two signs of life."""
_DEAD_S = 60.0
"""Seconds without one after which a process on another machine is taken for dead."""
_ATTEMPTS, _ATTEMPT_S = 5, 0.05
"""At reading a file that may just be written, and seconds between them."""


class Lock:
    """The right to train in a workdir.

    Args:
      path: The file; its directory is there.

    Raises:
      UserError: If another process that is alive holds it.
    """

    def __init__(self, path: paths.Path) -> None:
        self._path = path
        self._owner: dict[str, Any] = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "namespace": _namespace(),
            "start": _start_of(os.getpid()),
            "id": uuid.uuid4().hex,
            "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        }
        # A store may have made the file and lost its answer, so that the next try meets its own.
        while not self._create() and not self._is_ours():
            _wait_until_dead(path)
        self._lost, self._released = False, threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises a `StoppedError` if another process has taken the lock in the meantime."""
        if self._lost:
            raise StoppedError(
                f"Another process has taken {self._path} because this one had stopped responding: "
                "this one stops without writing anything more, and what was saved stays."
            )

    def release(self) -> None:
        """Lets other processes train here."""
        self._released.set()
        self._thread.join()
        with _tolerant():
            if self._is_ours():
                self._path.unlink()

    def _create(self) -> bool:
        try:
            paths.create(self._path, self._text(0))
        except FileExistsError:
            return False
        return True

    def _keep_alive(self) -> None:
        for beat in itertools.count(1):
            if self._released.wait(_BEAT_S):
                return
            with _tolerant():  # The writer reports a full disk.
                if not self._is_ours() and not self._create():
                    self._lost = True
                    return
                self._path.write_text(self._text(beat))

    def _text(self, beat: int) -> str:
        return json.dumps(self._owner | {"beat": beat}) + "\n"

    def _is_ours(self) -> bool:
        found = _read(self._path)
        return found is not None and {k: v for k, v in found.items() if k != "beat"} == self._owner


@contextlib.contextmanager
def _tolerant() -> Iterator[None]:
    """Lets pass what the system or a store of buckets refuses."""
    try:
        yield
    except Exception as error:
        if not is_refused(error):
            raise


@contextlib.contextmanager
def hold(path: paths.Path) -> Iterator[Lock]:
    """Holds a lock while the block runs."""
    lock = Lock(path)
    try:
        yield lock
    finally:
        lock.release()


def _wait_until_dead(path: paths.Path) -> None:
    """Removes a lock whose process is gone, or raises a `UserError` if it is alive."""
    found = _read(path)
    if found is None:
        return
    # Containers may share the host's name, and number their processes on their own.
    here = found["host"] == socket.gethostname() and found["namespace"] == _namespace()
    if here and isinstance(found["process"], int):
        alive = _is_running(found["process"], found["start"])
    else:
        _log.info("Waiting for a sign of life of %s.", _name(found))
        alive = _beats(path, found)
    if alive:
        raise UserError(
            f"{_name(found)} trains in {path.parent}: wait for it, stop it, or use another "
            f"--workdir; if it is gone, delete {path}."
        )
    if _read(path) == found:
        _log.warning("%s is gone: this one takes its place.", _name(found))
        path.unlink(missing_ok=True)


def _beats(path: paths.Path, found: dict[str, Any]) -> bool:
    """Whether a lock is written again; False if it is not, or is released."""
    end = time.monotonic() + _DEAD_S
    while time.monotonic() < end:
        time.sleep(_BEAT_S / 10)
        now = _read(path)
        if now != found:
            return now is not None
    return False


def _read(path: paths.Path) -> dict[str, Any] | None:
    """What a lock says, as far as it can be read; None if there is none."""
    found: Any = {}
    for _ in range(_ATTEMPTS):
        try:
            found = json.loads(paths.read(path))
            break
        except FileNotFoundError:
            return None
        except ValueError:  # Just being written, or left half written.
            time.sleep(_ATTEMPT_S)
    unknown: dict[str, Any] = dict.fromkeys(("start", "namespace"))
    unknown |= {"host": "an unknown machine", "process": 0, "since": "?", "beat": 0}
    return unknown | (found if isinstance(found, dict) else {})


def _name(found: dict[str, Any]) -> str:
    return f"Process {found['process']} on {found['host']} (since {found['since']})"


def _is_running(process: int, start: str | None) -> bool:
    """Whether a process of this machine runs, and is the one that began then."""
    try:
        os.kill(process, 0)
    except (OverflowError, ProcessLookupError):
        return False
    except PermissionError:  # It is another user's.
        pass
    return _start_of(process) == start


def _namespace() -> str | None:
    """The namespace of process numbers; None where that cannot be read."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _start_of(process: int) -> str | None:
    """When a process began, as the kernel counts; None where that cannot be read."""
    try:
        stat = pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]
