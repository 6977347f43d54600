"""Whole runs of the command line, each made once, and what is told beside their scores."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")
ROOT = pathlib.Path(__file__).parent.parent


def parser(description: str, out: str) -> argparse.ArgumentParser:
    """The command line that the comparisons of runs have in common.

    Args:
      description: What the command does; of a module's docstring the first line is taken.
      out: Default directory of what is written.

    Returns:
      A parser with `--config`, `--data_dir` and `--out`.
    """
    made = argparse.ArgumentParser(description=description.splitlines()[0])
    made.add_argument("--config", default="fashion_mnist", help="name of the config of each method")
    made.add_argument("--data_dir", default="", help="TFDS directory; empty for TFDS_DATA_DIR")
    made.add_argument(
        "--out", default=out, type=lambda path: pathlib.Path(path).absolute(), help="where to write"
    )
    return made


def run(
    config: str, workdir: pathlib.Path, *changes: str, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains by a config, in a process of its own, unless the workdir holds that very run already.

    Args:
      config: Name of a config, such as `simclr/fashion_mnist`.
      workdir: Where the run writes.
      *changes: Further arguments of the command line.
      cores: The cores that it may use; all by default.

    Returns:
      What is in the run's `scores.json`, and "seconds", the wall time of the process.

    Raises:
      subprocess.CalledProcessError: If the run fails.
      ValueError: If the workdir holds a run of other arguments, another commit or other cores.
    """
    command = ["--workdir", str(workdir), "--config", config, *changes]
    return _made(workdir / "evidence.json", config, changes, command, "scores.json", cores)


def evaluate(
    config: str,
    workdir: pathlib.Path,
    name: str,
    *changes: str,
    cores: Collection[int] | None = None,
) -> dict[str, Any]:
    """Scores the checkpoint of a run anew, unless that very evaluation has been made already.

    Args:
      config: That of the run.
      workdir: Where the run is.
      name: Of the evaluation; its result is kept in the workdir.
      *changes: Further arguments of the command line.
      cores: The cores that it may use; all by default.

    Returns:
      What is in the new file of scores, and "seconds".

    Raises:
      subprocess.CalledProcessError: If it fails.
      ValueError: If the workdir holds one of that name of other arguments, commit or cores.
    """
    command = ["--workdir", str(workdir), "--config", config, "--mode=evaluate", *changes]
    return _made(workdir / f"{name}.json", config, changes, command, "scores-*.json", cores)


def _made(
    result: pathlib.Path,
    config: str,
    changes: Sequence[str],
    arguments: Sequence[str],
    written: str,
    cores: Collection[int] | None,
) -> dict[str, Any]:
    """Runs the command line once, and keeps the scores that it writes with what they are of."""
    made = {
        "arguments": [config, *changes],
        "commit": commit(),
        "cores": len(os.sched_getaffinity(0) if cores is None else cores),
    }
    if result.exists():
        scores = json.loads(result.read_text())
        differing = [key for key in made if scores.get(key) != made[key]]
        if differing:
            raise ValueError(
                f"{result.parent} holds a run that differs in {' and '.join(differing)}: delete "
                "it, or give another --out."
            )
        return scores
    start = time.perf_counter()
    command = [sys.executable, "-m", "ssljax.main", *arguments]
    with subprocess.Popen(command, cwd=ROOT) as process:
        if cores is not None:
            os.sched_setaffinity(process.pid, cores)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    newest = max(result.parent.glob(written), key=lambda path: path.stat().st_mtime)
    scores = json.loads(newest.read_text()) | made | {"seconds": time.perf_counter() - start}
    result.write_text(json.dumps(scores, indent=2) + "\n")
    return scores


def side_by_side(
    calls: Sequence[Callable[[Collection[int]], Result]], jobs: int = 1
) -> list[Result]:
    """Makes so many calls at a time, each with its own share of the cores.

    Args:
      calls: Each is handed the numbers of the cores that it may use, as many as the others.
      jobs: Calls at a time, from 1.

    Returns:
      What they return, in their order.
    """
    cores = sorted(os.sched_getaffinity(0))
    size = max(1, len(cores) // jobs)
    shares: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
    for job in range(jobs):
        start = job * size % len(cores)
        shares.put(cores[start : start + size])

    def make(call: Callable[[Collection[int]], Result]) -> Result:
        share = shares.get()
        try:
            return call(share)
        finally:
            shares.put(share)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(make, calls))


def commit() -> str:
    """The commit of the code, with "-dirty" if it has been changed since; empty without Git."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def circumstances(jobs: int = 1) -> str:
    """Date, cores of a run, machine and commit, as they stand above a table."""
    cores = max(1, len(os.sched_getaffinity(0)) // jobs)
    return f"{datetime.date.today()}, {cores} core(s) of {platform.machine()}, commit {commit()}"
