"""Runs of the command line: made once, side by side, each with its share of the cores."""

import os
import subprocess
import sys
import threading

import pytest

from benchmarks import runs


def test_calls_at_a_time_have_cores_of_their_own():
    cores = os.sched_getaffinity(0)
    barrier = threading.Barrier(2, timeout=10)

    def call(number):
        def made(share):
            barrier.wait()  # Both are under way.
            return number, set(share)

        return made

    (first, one), (second, two) = runs.side_by_side([call(0), call(1)], jobs=2)
    assert (first, second) == (0, 1)
    assert one | two == cores
    assert len(cores) < 2 or not one & two


@pytest.fixture
def fake_program(monkeypatch, tmp_path):
    """A command in the program's place that writes down its cores, and its argument as a score."""
    script = tmp_path / "fake.py"
    script.write_text(
        "import json, os, pathlib, sys, time\n"
        "time.sleep(0.2)\n"
        "workdir, change = pathlib.Path(sys.argv[4]), sys.argv[-1]\n"
        "if change == '--fail':\n"
        "    sys.exit(3)\n"
        "again = '--mode=evaluate' in sys.argv\n"
        "workdir.mkdir(exist_ok=again)\n"
        "scores = {'change': change, 'affinity': sorted(os.sched_getaffinity(0))}\n"
        "name = f'scores-{change}.json' if again else 'scores.json'\n"
        "(workdir / name).write_text(json.dumps(scores))\n"
    )
    # Git is asked for the commit by a process too, which is not to be the fake one.
    monkeypatch.setattr(runs, "commit", lambda: "this")
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda command, **options: popen([sys.executable, str(script), *command[1:]], **options),
    )
    return tmp_path


def test_a_run_is_made_once_on_its_cores(fake_program):
    core = max(os.sched_getaffinity(0))
    first = runs.run("config", fake_program / "run", "--one", cores=[core])
    assert (first["change"], first["affinity"], first["cores"]) == ("--one", [core], 1)
    assert first["seconds"] > 0.1
    (fake_program / "run" / "scores.json").unlink()
    assert runs.run("config", fake_program / "run", "--one", cores=[core]) == first


def test_a_checkpoint_is_scored_anew_once_and_beside_the_runs_own_scores(fake_program):
    workdir = fake_program / "run"
    trained = runs.run("config", workdir, "--one")
    found = {
        name: runs.evaluate("config", workdir, name, f"--{name}") for name in ("layers", "others")
    }
    assert [found[name]["change"] for name in found] == ["--layers", "--others"]
    for written in workdir.glob("scores-*.json"):
        written.unlink()
    assert runs.evaluate("config", workdir, "layers", "--layers") == found["layers"]
    with pytest.raises(ValueError, match="differs in arguments"):
        runs.evaluate("config", workdir, "layers", "--others")
    assert runs.run("config", workdir, "--one") == trained


def test_another_run_in_its_place_is_told(fake_program, monkeypatch):
    workdir = fake_program / "run"
    runs.run("config", workdir, "--one")
    with pytest.raises(ValueError, match="differs in arguments: delete it"):
        runs.run("config", workdir, "--two")
    monkeypatch.setattr(runs, "commit", lambda: "another")
    with pytest.raises(ValueError, match="differs in commit"):
        runs.run("config", workdir, "--one")


def test_a_run_that_fails_is_no_result(fake_program):
    with pytest.raises(subprocess.CalledProcessError):
        runs.run("config", fake_program / "run", "--fail")
    assert not (fake_program / "run" / "evidence.json").exists()
