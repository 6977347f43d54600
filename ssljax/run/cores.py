"""The cores of a CPU: each becomes a device, and memory is taken in huge pages.

XLA splits only part of a train step over the threads of one device; a batch that is split over
devices keeps the cores at work also in the rest. `benchmarks/cpu_devices.py` measures both. The
devices share one pool of threads, which what runs on one of them alone has for itself. This module
is imported before the libraries that take seconds to load, and loads none of them.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import logging
import math
import os
import pathlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_log = logging.getLogger(__name__)

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""XLA takes its scratch memory on a CPU anew in every step: in pages of 4 KiB that costs the system
up to a third of the time."""

_PAGES_DECIDED = "SSLJAX_HUGE_PAGES"
_FORCED = re.compile(r"xla_force_host_platform_device_count=(\d+)")
"""How XLA is told how many devices a CPU has."""


class Choice(NamedTuple):
    """How many devices the cores make.

    Attributes:
      devices: The number of host devices; None leaves it to JAX and its settings.
      told: One sentence if some cores have no device of their own; else empty.
    """

    devices: int | None
    told: str = ""


def available(root: pathlib.Path = pathlib.Path("/")) -> int:
    """Counts the cores that this process may use, by its affinity and its control group's quota.

    Args:
      root: Where `proc` and `sys` are.

    Returns:
      The number, from 1; a part of a core counts for nothing.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it.
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # There may be no control groups.
        cores = min(cores, *(int(quota) for quota in _quotas(root)))
    return max(1, cores)


def _quotas(root: pathlib.Path) -> Iterator[float]:
    """The quotas of this process's control groups, and of those around them, in cores."""
    yield float(sys.maxsize)
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base = root / "sys/fs/cgroup"
            names: tuple[str, ...] = ("cpu.max",)
        elif "cpu" in controllers.split(","):
            base, names = root / "sys/fs/cgroup/cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        else:
            continue
        inner = base / path.lstrip("/")
        for group in (inner, *inner.parents[: len(inner.parts) - len(base.parts)]):
            # Inside a container the outer groups are not visible.
            with contextlib.suppress(OSError):
                quota, period = " ".join((group / name).read_text() for name in names).split()
                if quota not in ("max", "-1"):
                    yield int(quota) / int(period)


def on_cpu(environment: Mapping[str, str]) -> bool:
    """Whether JAX will compute on a CPU: by its settings, or because there is no other plugin."""
    platforms = environment.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms.split(",")[0] == "cpu"
    names = ("jax_plugins", "libtpu")
    return not (
        any(importlib.util.find_spec(name) for name in names)
        or importlib.metadata.entry_points(group="jax_plugins")
    )


def choose(
    cores: int, config: Any, environment: Mapping[str, str], distributed: bool = False
) -> Choice:
    """Decides how many devices the cores of a CPU make.

    Args:
      cores: Those that this process may use.
      config: The run's config, of which the batch and the mesh count.
      environment: The process's variables: what they ask for is left alone. Several processes may
        share one machine: each has the devices that it is given.
      distributed: Whether a cluster says what the processes are.

    Returns:
      One device per core; or as many as the mesh asks for; or, if the batch cannot be split over
      all cores, as many as it can be split over.
    """
    asked = _FORCED.search(environment.get("XLA_FLAGS", ""))
    several = distributed or environment.get("JAX_NUM_PROCESSES")
    if asked or several or environment.get("JAX_NUM_CPU_DEVICES") or not on_cpu(environment):
        return Choice(None)
    known = [size for size in (config.mesh.data, config.mesh.fsdp) if size > 0]
    asked_for = math.prod(known)

    def fits(devices: int) -> bool:
        laid_out = devices == asked_for if len(known) == 2 else devices % asked_for == 0
        return laid_out and config.batch_size % devices == 0

    devices = max(filter(fits, range(1, cores + 1)), default=cores)  # The mesh reports the mistake.
    if devices == cores or len(known) == 2:
        return Choice(devices)
    used = "they are threads of one device" if devices == 1 else f"{devices} devices share them"
    return Choice(
        devices,
        f"config.batch_size={config.batch_size} cannot be split over the {cores} cores: {used}; a "
        f"multiple of {cores} makes each a device.",
    )


def may_cache(
    devices: int | None, environment: Mapping[str, str], distributed: bool = False
) -> bool:
    """Whether JAX's compilation cache is safe.

    Out of it, a program for several devices of a CPU may run collectives that do not depend on each
    other in another order on each device, which then wait for each other (jaxlib 0.10.2).

    Args:
      devices: The number of host devices; None where JAX and its settings know it.
      environment: The process's variables.
      distributed: Whether a cluster says what the processes are.
    """
    forced = _FORCED.search(environment.get("XLA_FLAGS", ""))
    asked = environment.get("JAX_NUM_CPU_DEVICES") or (forced[1] if forced else "")
    several = distributed or environment.get("JAX_NUM_PROCESSES")
    return (str(devices or asked) == "1" and not several) or not on_cpu(environment)


def start(config: Any, distributed: bool = False) -> None:
    """Makes the cores of a CPU devices, as `choose` decides; before JAX starts its devices.

    Args:
      config: The run's config.
      distributed: Whether a cluster says what the processes are.
    """
    import jax

    devices, told = choose(available(), config, os.environ, distributed)
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") and not may_cache(
        devices, os.environ, distributed
    ):
        jax.config.update("jax_enable_compilation_cache", False)
        _log.warning(
            "JAX's compilation cache is not used: a program for several devices of a CPU may wait "
            "for itself forever when it comes out of it."
        )
    if devices is None:
        return
    with contextlib.suppress(RuntimeError):  # In a program that has started them already.
        jax.config.update("jax_num_cpu_devices", devices)
    if told:
        _log.info("%s", told)


def use_huge_pages() -> None:
    """Starts the program anew, once, with glibc's huge pages, where they help and are not set.

    glibc reads its settings before the program begins. The process keeps its number, its files and
    its command line. `SSLJAX_HUGE_PAGES=0`, or any `GLIBC_TUNABLES`, prevents it.
    """
    if not {*HUGE_PAGES, _PAGES_DECIDED}.isdisjoint(os.environ) or not _has_huge_pages():
        return
    if on_cpu(os.environ):
        with contextlib.suppress(OSError):  # It runs on without them.
            os.execve(
                sys.executable,
                [sys.executable, *sys.orig_argv[1:]],
                # With a mark of its own: a privileged process is not passed glibc's settings.
                os.environ | HUGE_PAGES | {_PAGES_DECIDED: "1"},
            )


def _has_huge_pages() -> bool:
    try:
        settings = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
        return "[never]" not in settings and "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (OSError, ValueError):  # Not Linux, or another C library.
        return False
