"""Checkpoints in a bucket that Orbax does not write to: made on the disk, and copied.

Orbax reads and writes disks and Google Cloud Storage. For any other store each process has a
directory of its own on the disk, and what it holds of a checkpoint becomes one object,
`<step>.<process>-of-<processes>.tar`. An object is there whole or not at all, and a checkpoint is
saved when all of its objects are there: no process waits for another, and a kill at any moment
leaves the checkpoint before.
"""

from __future__ import annotations

import atexit
import collections
import concurrent.futures
import contextlib
import pathlib
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable

import jax

from ssljax import paths

_OBJECT = re.compile(r"(\d+)\.(\d+)-of-(\d+)\.tar")


def is_needed(directory: paths.Path) -> bool:
    """Whether a directory lies in a bucket that Orbax does not write to."""
    return paths.is_remote(directory) and not str(directory).startswith("gs://")


def saved(directory: paths.Path) -> dict[int, list[str]]:
    """The objects of each checkpoint in a bucket that is whole, by step, in order."""
    found = collections.defaultdict(list)
    for name in paths.children(directory):
        if match := _OBJECT.fullmatch(name):
            step, _, processes = map(int, match.groups())
            found[step, processes].append(name)
    return {
        step: names for (step, processes), names in sorted(found.items()) if len(names) == processes
    }


class Staging:
    """The directory on the disk that stands for one in a bucket.

    Args:
      bucket: The directory in the bucket.

    Attributes:
      directory: The one on the disk, in `TMPDIR`; it needs room for the checkpoints that are kept
        and two more.
    """

    def __init__(self, bucket: paths.Path) -> None:
        self._bucket = bucket
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ssljax-checkpoints-"))
        self._pushed: set[int] = set()
        self._background = concurrent.futures.ThreadPoolExecutor(1)
        self._pending: concurrent.futures.Future[None] | None = None
        atexit.register(self.close)

    def pull(self, step: int) -> None:
        """Copies a checkpoint to the disk, with the parts of all processes.

        Of a damaged one there is then as much as can be read, and it cannot be restored.
        """
        place = self.directory / str(step)
        place.mkdir(exist_ok=True)
        for name in saved(self._bucket)[step]:
            store, key = paths.files(self._bucket / name)
            # The filter refuses whatever would lie outside of the directory.
            with (
                contextlib.suppress(tarfile.TarError),
                store.open(key, "rb") as file,
                tarfile.open(fileobj=file, mode="r|") as parts,
            ):
                parts.extractall(place, filter="data")
        self._pushed.add(step)

    def push_after(self, saved_here: Callable[[], None]) -> None:
        """Copies new checkpoints to the bucket, and removes there those that are gone here.

        As long as the newest lacks the part of another process, none is removed.

        Args:
          saved_here: Returns when what is being saved is on the disk. It is waited for, and all is
            copied, in a thread.
        """

        def finish() -> None:
            saved_here()
            self._push()

        self._pending = self._background.submit(finish)

    def wait(self) -> None:
        """Waits for what is being copied, and raises what went wrong."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _push(self) -> None:
        here = {int(path.name) for path in self.directory.iterdir() if path.name.isdigit()}
        for step in sorted(here - self._pushed):
            name = f"{step}.{jax.process_index()}-of-{jax.process_count()}.tar"
            packed = self.directory / name
            with tarfile.open(packed, "w") as parts:
                parts.add(self.directory / str(step), arcname=".")
            paths.upload(packed, self._bucket / name)
            packed.unlink()
            self._pushed.add(step)
        there = saved(self._bucket)
        if jax.process_index() or not here or max(here) not in there:
            return
        for name in paths.children(self._bucket):
            if match := _OBJECT.fullmatch(name):
                step, processes = int(match[1]), int(match[3])
                is_rest = processes != jax.process_count() and name not in there.get(step, ())
                if step not in here or is_rest:
                    paths.remove(self._bucket / name)

    def set_aside(self, step: int, name: str) -> None:
        """Removes a checkpoint from the disk, and gives its objects another name."""
        shutil.rmtree(self.directory / str(step))
        self._pushed.discard(step)
        if jax.process_index():
            return
        for old in saved(self._bucket).get(step, []):
            paths.move(self._bucket / old, self._bucket / old.replace(str(step), name, 1))

    def close(self) -> None:
        """Removes the directory from the disk."""
        self._background.shutdown()
        shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.close)
