"""Ctrl-C at any moment: one line, status 130, and what can be saved is saved."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import runs

from ssljax.run import signals

PROGRAM = """
import contextlib, sys, time
from ssljax.run import signals
signals.end_at_interrupts()
with signals.Stop() if sys.argv[1] == "training" else contextlib.nullcontext() as stop:
    print("ready", flush=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if sys.argv[2] == "obeys" and stop.asked:
            print("saved", stop.asked)
            sys.exit(128 + stop.asked)
"""
ASKED = "Stopping after this step; Ctrl-C again stops at once.\n"
ENDED = "ssljax: Interrupted; what was saved before stays.\n"


def _ready(doing: str, how: str = "") -> subprocess.Popen:
    """A program that has nothing to do with JAX, and has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, doing, how],
        cwd=runs.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def _ended(process: subprocess.Popen) -> tuple[int, str, str]:
    output, error = process.communicate(timeout=30)
    return process.returncode, output, error


def test_where_there_is_nothing_to_save_it_ends_the_process_with_one_line():
    process = _ready("nothing")
    process.send_signal(signal.SIGINT)
    assert _ended(process) == (130, "", ENDED)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_trains_is_asked_first(number):
    process = _ready("training", "obeys")
    process.send_signal(number)
    status, output, error = _ended(process)
    assert (status, output) == (128 + number, f"saved {int(number)}\n")
    # So short a step may end before the word that it is waited for.
    assert error in ("", ASKED) if number == signal.SIGINT else error == ""


def test_the_second_time_it_ends_the_process_whatever_that_does():
    process = _ready("training", "deaf")
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert _ended(process) == (130, "", ASKED + ENDED)


@pytest.fixture
def default_handler():
    """Python's own handler of Ctrl-C, which the workers of a parallel test run lack."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_handler")
def test_in_another_program_the_second_time_raises_and_handlers_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with signals.Stop() as stop:
        assert stop.asked is None
        signal.raise_signal(signal.SIGINT)
        assert stop.asked == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def _interrupt(process: subprocess.Popen, when) -> str:
    deadline = time.monotonic() + 200
    while not when():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output = runs.finish(process, status=130)
    assert "Traceback" not in output
    assert output.count("Interrupted") == 1
    return output


@pytest.mark.skipif(not pathlib.Path("/proc/self/task").exists(), reason="Reads Linux's /proc.")
def test_while_the_libraries_load(tmp_path):
    process = runs.start(runs.arguments(tmp_path / "run"))
    # The second thread is the one that waits for signals.
    output = _interrupt(process, lambda: len(os.listdir(f"/proc/{process.pid}/task")) > 1)
    assert output == ENDED
    assert not (tmp_path / "run").exists()


def test_before_the_first_step(tmp_path):
    process = runs.start(runs.arguments(tmp_path, steps=100_000, checkpoint__every=100_000))
    output = _interrupt(process, lambda: (tmp_path / "lock.json").exists())
    saved = [path.name for path in (tmp_path / "checkpoints").glob("*")]
    assert output.endswith(ENDED) if not saved else f"step {saved[0]} is saved" in output


def test_while_it_trains_and_saves_each_step(tmp_path):
    process = runs.start(runs.arguments(tmp_path, steps=100_000, checkpoint__every=1))
    log = tmp_path / "metrics.jsonl"
    output = _interrupt(process, lambda: log.exists() and len(log.read_text().splitlines()) > 2)
    step = len(log.read_text().splitlines())
    assert f"Interrupted: the state of step {step} is saved." in output
    assert (tmp_path / "checkpoints" / str(step)).is_dir()
    assert not (tmp_path / "lock.json").exists()
