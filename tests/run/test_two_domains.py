"""Two feeds of two data sets: unpaired folders, other names, other sizes, one curve anywhere."""

import json
import os
import shutil
import socket

import numpy as np
import pytest
import runs
import unpaired

from ssljax import main
from ssljax.errors import UserError
from ssljax.run.experiment import Experiment
from ssljax.run.feeds import section


@pytest.fixture(autouse=True)
def listed():
    with unpaired.listed():
        yield


@pytest.fixture
def images(tmp_path):
    return unpaired.paint(tmp_path / "images")


def experiment(tmp_path, images, **changes):
    return Experiment(main.parse(unpaired.arguments(tmp_path, images, **changes)).config)


def test_splits_of_unpaired_folders_are_domains_without_labels(tmp_path, images):
    made = experiment(tmp_path, images, steps=0, epochs=2.0)
    assert {name: len(source) for name, source in made.sources.fed.items()} == {
        "photos": 24, "paintings": 17,
    }  # fmt: skip
    assert all(source.num_classes is None for source in made.sources.fed.values())
    # Epochs are those of the first feed, although the second has gone round before.
    assert (made.task.steps_per_epoch, made.task.total_steps) == (3, 6)
    dark, bright = (made.load(source)["image"] for source in made.sources.fed.values())
    assert dark.min() < 50
    assert bright.min() >= 100


def test_what_a_section_leaves_empty_is_that_of_the_first(tmp_path, images):
    config = main.parse(unpaired.arguments(tmp_path, images)).config
    feed = unpaired.CycleGAN.feeds(config)["paintings"]
    keys = section(config, feed)
    assert (keys.name, keys.dir, keys.split) == ("folder", str(images), "trainB")
    config.method.paintings.update(name="digits", dir="elsewhere", split="test")
    keys = section(config, feed)
    assert (keys.name, keys.dir, keys.split, keys.channels) == ("digits", "elsewhere", "test", 1)


def test_the_second_domain_may_be_of_another_data_set(tmp_path, images):
    other = {"method__paintings__name": "digits", "method__paintings__split": "test"}
    made = experiment(tmp_path, images, **other)
    assert [source.name for source in made.sources.fed.values()] == ["folder", "digits"]
    assert [len(source) for source in made.sources.fed.values()] == [24, 397]


def test_a_domain_that_is_missing_empty_or_too_small_is_told(tmp_path, images):
    told = "Of config.method.paintings, whose other keys are those of config.data: "
    with pytest.raises(UserError, match=f"{told}There is no directory .*nowhere"):
        experiment(tmp_path, images, method__paintings__dir=tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"{told}The data set has 17 images, fewer than one batch"):
        experiment(tmp_path, images, batch_size=24)
    for file in (images / "trainB").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=f"{told}.*trainB holds no images"):
        experiment(tmp_path, images)
    shutil.rmtree(images / "trainB")
    with pytest.raises(UserError, match=f"{told}.*has no split 'trainB'.*testA, testB, trainA"):
        experiment(tmp_path, images)
    with pytest.raises(UserError, match=r"^.*images has no split 'train'.*testA, testB, trainA"):
        experiment(tmp_path, images, data__split="train")


def losses(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    names = ("generators/loss", "discriminators/loss")
    return [[line[name] for name in names] for line in lines if names[0] in line]


def test_a_cached_run_and_two_processes_see_and_score_the_images_of_one(tmp_path, images):
    found, scored = [], {"evals__final": "('translation',)", "evals__baselines": False}
    for name, changes in (("host", scored), ("device", {"data__cache": "device"})):
        assert main.main(unpaired.arguments(tmp_path, images, name, **changes)) == 0
        found.append(losses(tmp_path / name))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = unpaired.arguments(tmp_path, images, "two", **scored)
    both = [
        runs.start(
            command,
            devices=2,
            JAX_COORDINATOR_ADDRESS=address,
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(process),
            PYTHONPATH=f"{runs.ROOT}{os.pathsep}{runs.ROOT / 'tests'}",
        )
        for process in range(2)
    ]
    for process in both:
        runs.finish(process)
    found.append(losses(tmp_path / "two"))
    assert [len(each) for each in found] == [6, 6, 6]
    for each in found[1:]:
        np.testing.assert_allclose(each, found[0], rtol=1e-4)
    one, two = (
        json.loads((tmp_path / name / "scores.json").read_text())["scores"]["trained translator"]
        for name in ("host", "two")
    )
    assert len(one) == 2
    assert two == pytest.approx(one, rel=1e-3)
