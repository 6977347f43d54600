"""The start-up of a run on several hosts, and what only its first process does."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from ssljax import paths
from ssljax.errors import StoppedError, UserError, brief, is_full, is_refused, refusal

_log = logging.getLogger(__name__)
_JOIN_S = 300
_SHUTDOWN_S = 60
_LONGEST_MESSAGE = 2**12


def start(distributed: bool = False) -> None:
    """Joins this process to the others of the run, if there are any.

    Several processes are started either by the variables `JAX_COORDINATOR_ADDRESS` (host:port),
    `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`, or, on a cluster that JAX recognises (Cloud TPU pod,
    Slurm, Kubernetes, MPI), by `distributed=True`. Must run before any device is touched.

    Args:
      distributed: Whether to ask the cluster for the coordinator and the number of processes.

    Raises:
      UserError: If only some of the three variables are set or they make no sense, if there is no
        cluster or its first process is not reached, or if there is no device.
    """
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    values = [os.environ.get(name) for name in names]
    known: dict[str, Any] = {}
    if any(values) and not distributed:
        if not all(values):
            missing = ", ".join(n for n, v in zip(names, values, strict=True) if not v)
            raise UserError(
                f"Some of the variables for several processes are set but {missing} is not: "
                f"set all of {', '.join(names)}, or none."
            )
        address, count, index = (str(value) for value in values)
        if not (
            address.rpartition(":")[2].isdigit()
            and count.isdigit()
            and index.isdigit()
            and int(index) < int(count)
        ):
            raise UserError(
                f"The variables for several processes do not fit together: {names[0]}={address} "
                f"must be host:port, and {names[2]}={index} from 0 to {names[1]}={count} less 1."
            )
        if int(index):
            _wait_for_first(address)
        known = dict(coordinator_address=address, num_processes=int(count), process_id=int(index))
    if known or distributed:
        try:
            # At its end, a process that failed alone waits at most this long for the others.
            jax.distributed.initialize(**known, shutdown_timeout_seconds=_SHUTDOWN_S)
        except (RuntimeError, ValueError) as error:
            if distributed and isinstance(error, ValueError):
                raise UserError(
                    "--distributed finds no cluster that JAX knows (TPU pod, Slurm, Kubernetes, "
                    f"MPI): leave it out, or set {', '.join(names)} instead."
                ) from error
            address = known.get("coordinator_address", "the address that the cluster gives")
            raise UserError(_not_joined(address, brief(error))) from error
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # The latter where a plugin is not installed.
        reason = brief(error).partition(" (set JAX_PLATFORMS")[0]
        raise UserError(
            f"JAX finds no device with JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')!r} "
            f"({reason}): name a platform that is there, such as cpu, or leave it unset."
        ) from error


def _wait_for_first(address: str) -> None:
    """Waits until process 0 listens: if it never does, JAX would abort this process."""
    host, _, port = address.rpartition(":")
    end = time.monotonic() + _JOIN_S
    _log.info("Waiting for process 0 at %s.", address)
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise UserError(_not_joined(address, error.strerror or str(error))) from error
        time.sleep(0.2)


def _not_joined(address: str, reason: str) -> str:
    return (
        f"The other processes cannot be joined at {address} ({reason}): check that process 0 is "
        "running there, and that its port is open and free."
    )


def on_first(action: Callable[[], None], place: paths.Path) -> None:
    """Runs an action in the first process, while the others wait.

    Args:
      action: What only one process may do.
      place: The file or directory that it writes.

    Raises:
      UserError: In every process, if the action raises it, or the system refuses what it does.
      StoppedError: In every process, if the disk is full.
    """
    told, full = "", False
    cause: Exception | None = None
    if jax.process_index() == 0:
        try:
            action()
        except UserError as error:
            told, cause = str(error), error
        except Exception as error:
            if not is_refused(error):
                raise
            told, cause, full = refusal(error, place), error, is_full(error)
    if jax.process_count() > 1:
        sent = np.zeros(_LONGEST_MESSAGE, np.uint8)
        encoded = bytes([full]) + told.encode()[: _LONGEST_MESSAGE - 1]
        sent[: len(encoded)] = np.frombuffer(encoded, np.uint8)
        received = bytes(multihost_utils.broadcast_one_to_all(sent))
        full, told = bool(received[0]), received[1:].rstrip(b"\0").decode(errors="ignore")
    if told:
        raise (StoppedError if full else UserError)(told) from cause
