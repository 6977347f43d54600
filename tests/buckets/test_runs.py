"""Whole runs in buckets: killed, resumed, scored, started from, and by several processes."""

import json
import signal
import socket
import time

import affine
import numpy as np
import pytest
import runs

from ssljax import main, page, paths
from ssljax.errors import UserError
from ssljax.run.checkpoint import saved_steps

STEPS = 200
CHANGES = {"steps": STEPS, "checkpoint__every": 20, "log__every": 20, "log__tensorboard": True}
FINETUNE = """
from ssljax.config import base_config


def get_config():
    config = base_config("finetune")
    config.data.update(name="digits", channels=1, resize="exact", cache="device")
    config.method.view.update(size=8, crop_scale=None, interpolation="bilinear", flip_p=0.0)
    config.model.encoder.name = "small"
    config.optimizer.update(name="adamw", learning_rate=2e-3)
    return config
"""


beside_pods = pytest.mark.parametrize("store", ["gs"], indirect=True)
"""For what need not be shown of every store: that one is beside TPU pods."""


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The state of a run on a disk that nobody stopped."""
    workdir = tmp_path_factory.mktemp("disk") / "run"
    command = runs.arguments(workdir, **CHANGES)
    assert runs.finish(runs.start(command)) is not None
    return runs.final_state(command, workdir)


@pytest.fixture(scope="module")
def trained(store):
    """A run in a bucket that was stopped twice, by SIGTERM and by SIGKILL."""
    workdir = paths.resolve(f"{store}/runs/simclr")
    command = runs.arguments(workdir, **CHANGES)
    for number, (sent, status) in enumerate([(signal.SIGTERM, 143), (signal.SIGKILL, -9)]):
        before = max(saved_steps(workdir / "checkpoints"), default=0)
        process = runs.start(command)
        _until(lambda before=before: saved_steps(workdir / "checkpoints")[-1:] > [before], process)
        process.send_signal(sent)
        printed = runs.finish(process, status)
        done = saved_steps(workdir / "checkpoints")[-1]
        assert before < done < STEPS
        if not number:
            assert f"Terminated: the state of step {done} is saved." in printed
    printed = runs.finish(runs.start(command))
    assert f"Going on from step {done} of {STEPS}." in printed
    return workdir


def _until(true, process, seconds=120):
    """Waits until something holds, while a process runs."""
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_run_that_was_killed_ends_like_one_on_a_disk_that_was_not(trained, uninterrupted):
    state = runs.final_state(runs.arguments(trained, **CHANGES), trained)
    assert len(state) == len(uninterrupted)
    for there, here in zip(state, uninterrupted, strict=True):
        np.testing.assert_array_equal(there, here)
    lines = paths.read(trained / "metrics.jsonl").splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(20, STEPS + 1, 20))
    assert not (trained / "lock.json").exists()
    assert paths.children(trained) == [
        *("checkpoints", "config.json", "data.json", "environment.json", "metrics.jsonl"),
        *("task.json", "tensorboard"),
    ]


@beside_pods
def test_another_config_is_refused(trained, capsys):
    changed = CHANGES | {"optimizer__learning_rate": 1.0}
    assert main.main(runs.arguments(trained, **changed)) == 2
    assert f"{trained} was written by another config" in capsys.readouterr().err


@beside_pods
def test_a_run_in_a_bucket_is_shown(trained):
    out = page.write([trained])
    assert out == trained / "report.html"
    assert f"{STEPS} of {STEPS}, in batches of 16 images" in paths.read(out).decode()
    paths.remove(out)
    with pytest.raises(UserError, match="There is no directory"):
        page.write([trained.parent / "nothing"])


@beside_pods
def test_a_run_in_a_bucket_is_scored(trained):
    scored = CHANGES | {"evals__final": "('knn',)", "evals__knn__neighbors": "((5, 0.1),)"}
    assert main.main([*runs.arguments(trained, **scored), "--mode=evaluate"]) == 0
    (name,) = [name for name in paths.children(trained) if name.startswith("scores-digits")][:1]
    sheet = json.loads(paths.read(trained / name))
    assert sheet["complete"]
    assert sheet["scores"]["trained network"].keys() == {"knn5"}


@beside_pods
def test_a_run_starts_from_one_in_a_bucket(trained, place, tmp_path):
    file = tmp_path / "finetune.py"
    file.write_text(FINETUNE)
    options = {"init__workdir": trained, "data__labels": 4.0, "evals__final": "('classifier',)"}
    assert main.main(runs.arguments(place, file, **options)) == 0
    recorded = json.loads(paths.read(place / "config.json"))
    assert recorded["init.workdir"] == str(trained)
    assert recorded["init.step"] == STEPS
    assert json.loads(paths.read(place / "scores.json"))["complete"]


@beside_pods
def test_images_are_drawn_and_scored_by_a_run_in_a_bucket(trained, place, tmp_path):
    scores = {
        "steps": 2,
        "evals__final": "('fid',)",
        "evals__generator__count": 300,
        "evals__generator__extractor": trained,
        "evals__generator__cache": place / "cache",
        "samples__count": 4,
    }
    with affine.listed():
        command = affine.arguments(tmp_path, **scores)
        command[2] = f"--workdir={place / 'affine'}"
        assert main.main(command) == 0
        assert main.main([*command, "--mode=sample"]) == 0
    (statistics,) = paths.children(place / "cache")
    assert statistics.endswith(".npz")
    sheet = json.loads(paths.read(place / "affine" / "scores.json"))
    assert any("fid" in name for name in sheet["scores"]["trained generator"])
    assert paths.children(place / "affine" / "samples") == [
        "grid_2.png", *(f"sample_2_{number}.png" for number in range(4))
    ]  # fmt: skip
    assert paths.read(place / "affine" / "samples" / "grid_2.png").startswith(b"\x89PNG")


@beside_pods
def test_one_process_goes_on_as_two_and_two_as_one(place, capsys):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    # Each goes on from what the one before has saved, with another number of processes.
    assert main.main(runs.arguments(place, steps=4)) == 0
    command = runs.arguments(place, steps=8, resume__accept="('steps',)")
    several = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    processes = [runs.start(command, 2, JAX_PROCESS_ID=str(index), **several) for index in range(2)]
    first, _ = [runs.finish(process) for process in processes]
    assert "Going on from step 4 of 8." in first
    assert saved_steps(place / "checkpoints") == [4, 8]
    longer = runs.arguments(place, steps=12, resume__accept="('steps',)")
    assert main.main(longer) == 0
    assert "Going on from step 8 of 12." in capsys.readouterr().err
    assert saved_steps(place / "checkpoints") == [8, 12]
    lines = paths.read(place / "metrics.jsonl").splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 13))


def test_a_bucket_that_is_not_there_is_one_sentence(store, capsys):
    workdir = f"{store}-of-nobody/run"
    assert main.main(runs.arguments(workdir)) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"ssljax: {workdir} cannot be read or written (there is no such bucket")
    assert len(told.splitlines()) == 1
    assert not list(runs.ROOT.glob(f"{store[:2]}:*"))  # As a path it would be a folder here.
