"""How long a function takes, and how much memory, in a process of its own."""

from __future__ import annotations

import dataclasses
import multiprocessing
import pathlib
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a function cost.

    Attributes:
      first: Seconds of the first call, compilation included.
      again: Seconds of the second call.
      cpu: Seconds of the second call on all cores together, which other work does not change.
      before: Resident memory at its peak before the calls, in MB.
      peak: The same after them.
      result: What the second call returned.
    """

    first: float
    again: float
    cpu: float
    before: float
    peak: float
    result: Any


def alone(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> Measured:
    """Calls a function twice in a new process.

    Args:
      prepare: Makes the function, at the top of a module; what it does is not measured.
      *arguments: Of `prepare`.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_measure, prepare, arguments).result()


def exponent(sizes: list[float], costs: list[float]) -> float:
    """The power of the size that a cost grows with, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def peak_memory() -> float:
    """The most memory that was resident so far, in MB.

    On Linux it is read from /proc: what `getrusage` tells of a process that another one started
    begins with the other's memory.
    """
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return float(line.split()[1]) * 1024 / 1e6
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte / 1e6


def _measure(prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> Measured:
    call = prepare(*arguments)
    before = peak_memory()
    start = time.perf_counter()
    call()
    middle, cpu = time.perf_counter(), time.process_time()
    result = call()
    end, end_cpu = time.perf_counter(), time.process_time()
    return Measured(middle - start, end - middle, end_cpu - cpu, before, peak_memory(), result)
