"""Whole runs of the command line, each made once, and what is told beside their scores."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
from typing import Any

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


def run(config: str, workdir: pathlib.Path, *changes: str) -> dict[str, Any]:
    """Trains by a config, in a process of its own, unless the workdir holds that run already.

    Args:
      config: Path of the config file, from the root of the repository.
      workdir: Where the run writes.
      *changes: Further arguments of the command line.

    Returns:
      What is in the run's `scores.json`, and "seconds", the wall time of the process.
    """
    result = workdir / "evidence.json"
    if not result.exists():
        start = time.perf_counter()
        command = [sys.executable, "-m", "ssljax.main", "--workdir", str(workdir)]
        subprocess.run([*command, "--config", config, *changes], cwd=ROOT, check=True)
        scores = json.loads((workdir / "scores.json").read_text())
        scores["seconds"] = time.perf_counter() - start
        result.write_text(json.dumps(scores, indent=2) + "\n")
    return json.loads(result.read_text())


def circumstances() -> str:
    """Date, cores, machine and commit, as they stand above a table."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    cores = len(os.sched_getaffinity(0))
    return f"{datetime.date.today()}, {cores} core(s) of {platform.machine()}, commit {commit}"
