"""Small whole runs for the tests: through the command line, in this process or in others."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from ssljax import config as configs
from ssljax import paths
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.experiment import Experiment

ROOT = pathlib.Path(__file__).parent.parent
DIGITS = ROOT / "configs" / "simclr" / "digits.py"
TINY = {
    "batch_size": 16,
    "steps": 6,
    "data.image_size": 8,
    "method.view.size": 8,
    "model.encoder.widths": "(4,8)",
    "optimizer.warmup_epochs": 0.0,
    "log.every": 1,
    "evals.final": "()",
    "log.tensorboard": False,
    "log.report": False,
}

_STARTED: list[subprocess.Popen] = []
"""The runs in processes of their own."""


def arguments(workdir, config=DIGITS, **changes) -> list[str]:
    """A command line of a tiny run; a key's dots are written as two underscores."""
    values = TINY | {key.replace("__", "."): value for key, value in changes.items()}
    return [
        "ssljax",
        f"--config={config}",
        f"--workdir={workdir}",
        *(f"--config.{key}={value}" for key, value in values.items()),
    ]


def start(command: list[str], devices: int = 1, **environment: str) -> subprocess.Popen:
    """Starts a run in a process of its own, on so many simulated devices.

    Its programs are compiled as those of this process are.
    """
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", f"device_count={devices}")
    process = subprocess.Popen(
        [sys.executable, "-m", "ssljax.main", *command[1:]],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _STARTED.append(process)
    return process


def finish(process: subprocess.Popen, status: int = 0, timeout: float = 240) -> str:
    """Waits for a run; returns what it printed, which is shown if its exit status is another.

    One that lasts too long is ended, and with it those that may wait for it.
    """
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        for started in _STARTED:
            started.kill()
        pytest.fail(f"not finished after {timeout} s:\n{process.communicate()[0]}")
    assert process.returncode == status, output
    return output


def final_state(command: list[str], workdir) -> list[np.ndarray]:
    """Every array of the newest checkpoint of a workdir, as plain data."""
    from ssljax import main

    config = main.parse(command).config
    configs.check(config)
    checkpoints = Checkpoints(paths.resolve(workdir) / "checkpoints")
    state = checkpoints.restore(Experiment(config).abstract_state)
    checkpoints.close()
    plain = state.replace(key=jax.random.key_data(state.key))
    return [np.asarray(x) for x in jax.tree.leaves(plain)]
