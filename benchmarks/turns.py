"""Measures programs on one accelerator in turns: whatever else happens there meets them all.

Each program is a process of its own, for two frameworks do not share one well. It makes ready, and
then measures as often as it is asked to. Only the standard library is used: a program has nothing
loaded but what it measures.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_ASK = "measure"


def answer(steps: Mapping[str, Callable[[int], None]], images: int, seconds: float) -> None:
    """Makes ready, says so, and measures every kind of step each time it is asked on stdin.

    Args:
      steps: By name, what takes so many train steps and returns when all of them are done.
      images: Images in the batch of one step.
      seconds: How long to measure each.
    """
    counts = {}
    for name, step in steps.items():
        step(3)  # Compiles, and takes memory.
        counts[name] = max(1, round(5 * seconds / _time(step, 5)))
    print(json.dumps({"ready": list(steps)}), flush=True)
    for line in sys.stdin:
        if line.strip() != _ASK:
            continue
        for name, count in counts.items():
            spent = _time(steps[name], count)
            told = {"step": name, "steps": count, "step_seconds": spent / count}
            print(json.dumps(told | {"images_per_second": images * count / spent}), flush=True)


def _time(step: Callable[[int], None], count: int) -> float:
    start = time.perf_counter()
    step(count)
    return time.perf_counter() - start


def take(
    commands: Mapping[str, Sequence[str]], rounds: int, tell: Callable[[dict[str, Any]], None]
) -> None:
    """Starts programs one after another, and then lets them measure in turns.

    Args:
      commands: By name, the command line of each program, which calls `answer`.
      rounds: How often each measures.
      tell: Is handed each measurement as it is made: what the program printed, and its "program"
        and "round".

    Raises:
      RuntimeError: If a program ends before it has measured.
    """
    with contextlib.ExitStack() as stack:
        started = {}
        for name, command in commands.items():
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
                )
            )
            assert process.stdin is not None
            stack.callback(process.stdin.close)  # A program ends with what it is asked.
            started[name] = process, _read(name, process)["ready"]
        for number in range(rounds):
            for name, (process, steps) in started.items():
                assert process.stdin is not None
                print(_ASK, file=process.stdin, flush=True)
                for _ in steps:
                    tell({"program": name, "round": number} | _read(name, process))


def _read(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of a program's that is an object; whatever else it prints is passed over."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            told: dict[str, Any] = json.loads(line)
            return told
    raise RuntimeError(f"The program {name} ended with status {process.wait()} before its turn.")
