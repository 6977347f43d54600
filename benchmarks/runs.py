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
    """Trains by a config, in a process of its own, unless the workdir holds that run already.

    Args:
      config: Path of the config file, from the root of the repository.
      workdir: Where the run writes.
      *changes: Further arguments of the command line.
      cores: The cores that it may use; all by default.

    Returns:
      What is in the run's `scores.json`, and "seconds", the wall time of the process.

    Raises:
      subprocess.CalledProcessError: If the run fails.
    """
    result = workdir / "evidence.json"
    if not result.exists():
        start = time.perf_counter()
        command = [sys.executable, "-m", "ssljax.main", "--workdir", str(workdir)]
        with subprocess.Popen([*command, "--config", config, *changes], cwd=ROOT) as process:
            if cores is not None:
                os.sched_setaffinity(process.pid, cores)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        scores = json.loads((workdir / "scores.json").read_text())
        scores["seconds"] = time.perf_counter() - start
        result.write_text(json.dumps(scores, indent=2) + "\n")
    return json.loads(result.read_text())


def side_by_side(
    calls: Sequence[Callable[[Collection[int]], Result]], jobs: int = 1
) -> list[Result]:
    """Makes so many calls at a time, each with its own share of the cores.

    Args:
      calls: Each is handed the numbers of the cores that it may use.
      jobs: Calls at a time, from 1.

    Returns:
      What they return, in their order.
    """
    cores = sorted(os.sched_getaffinity(0))
    shares: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
    for job in range(jobs):
        shares.put(cores[job::jobs] or cores)

    def make(call: Callable[[Collection[int]], Result]) -> Result:
        share = shares.get()
        try:
            return call(share)
        finally:
            shares.put(share)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(make, calls))


def circumstances(jobs: int = 1) -> str:
    """Date, cores of a run, machine and commit, as they stand above a table."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    cores = max(1, len(os.sched_getaffinity(0)) // jobs)
    return f"{datetime.date.today()}, {cores} core(s) of {platform.machine()}, commit {commit}"
