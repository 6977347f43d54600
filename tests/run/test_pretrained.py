"""Runs that start from other runs, through the command line: pretrain, fine-tune, distil."""

import json
import shutil

import jax
import numpy as np
import pytest
import runs

from ssljax import config as configs
from ssljax import data, main
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.experiment import Experiment
from ssljax.run.pretrained import other_inputs, resolve

OPTIONS = """
from ssljax.config.base import base_config


def get_config():
    config = base_config("{method}")
    config.data.update(name="digits", channels=1, resize="exact", cache="device")
    config.method.view.update(size=8, crop_scale=None, interpolation="bilinear", flip_p=0.0)
    config.model.encoder.name = "small"
    config.optimizer.update(name="adamw", learning_rate=2e-3)
    return config
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def command(folder):
    """A command line of a tiny run of a method; its workdir has that name, or another."""

    def arguments(method, name=None, **changes):
        file = folder / f"{method}.py"
        file.write_text(OPTIONS.format(method=method))
        return runs.arguments(folder / (name or method), file, **changes)

    return arguments


@pytest.fixture(scope="module")
def pretrained(folder):
    assert main.main(runs.arguments(folder / "simclr", steps=3)) == 0
    return folder / "simclr"


@pytest.fixture(scope="module")
def finetuned(folder, command, pretrained):
    options = dict(init__workdir=pretrained, data__labels=4.0, evals__final="('classifier',)")
    assert main.main(command("finetune", **options)) == 0
    return folder / "finetune"


@pytest.fixture(scope="module")
def distilled(folder, command, finetuned):
    assert main.main(command("distill", init__workdir=finetuned)) == 0
    return folder / "distill"


def read(arguments, workdir=None):
    config = main.parse(arguments).config
    configs.check(config)
    return resolve(config, workdir)


def saved(experiment, workdir, step=None):
    checkpoints = Checkpoints(workdir / "checkpoints")
    state = checkpoints.restore(experiment.abstract_state, step)
    checkpoints.close()
    return state


def equal(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def test_a_run_begins_with_what_the_other_one_saved(command, pretrained, finetuned):
    experiment = Experiment(read(command("finetune", init__workdir=pretrained)))
    source = saved(Experiment(read(runs.arguments(pretrained, steps=3))), pretrained)
    start, untrained = experiment.start(), experiment.init()
    assert equal(start.params["online"]["encoder"], source.params["online"]["encoder"])
    assert not equal(start.params["online"]["encoder"], untrained.params["online"]["encoder"])
    assert equal(start.opt_state, untrained.opt_state)
    assert int(start.step) == 0
    assert all(
        leaf.sharding == wanted
        for leaf, wanted in zip(
            jax.tree.leaves(start), jax.tree.leaves(experiment.shardings), strict=True
        )
    )


def test_the_workdir_records_where_it_comes_from(pretrained, finetuned, distilled):
    config = json.loads((distilled / "config.json").read_text())
    assert config["init.workdir"] == str(finetuned)
    assert config["init.step"] == 6
    assert config["init.run.method.name"] == "finetune"
    assert config["init.run.init.workdir"] == str(pretrained)
    assert config["init.run.init.step"] == 3
    assert config["init.task.num_classes"] == 10


def test_the_students_teacher_is_the_fine_tuned_network(command, finetuned, distilled):
    experiment = Experiment(read(command("distill", init__workdir=finetuned)))
    end = saved(experiment, distilled)
    teacher = Experiment(read([*command("finetune"), "--config.data.labels=4.0"], finetuned))
    assert equal(end.memory["teacher"], saved(teacher, finetuned).params["online"])


def test_the_classifiers_own_accuracy_is_reported(finetuned, command):
    scores = json.loads((finetuned / "scores.json").read_text())["scores"]
    assert scores.keys() == {"random network", "trained network"}
    experiment = Experiment(read(command("finetune"), finetuned))
    state = saved(experiment, finetuned)
    test = experiment.load(data.open_source("digits", "test"))
    logits = jax.jit(experiment.method.features)(state, test["image"])["logits"]
    accuracy = np.mean(np.argmax(logits, axis=1) == test["label"])
    assert scores["trained network"] == {"classifier": pytest.approx(accuracy)}


def test_other_images_than_the_network_was_trained_on_are_told(command, pretrained, capsys):
    config = read(command("finetune", init__workdir=pretrained))
    assert other_inputs(config) == []
    config.method.view.mean, config.method.view.std = (0.1,), (0.3,)
    assert other_inputs(config) == [
        "config.method.view.mean was None and is (0.1,)",
        "config.method.view.std was None and is (0.3,)",
    ]
    larger = command("finetune", "larger", init__workdir=pretrained, data__image_size=10, steps=1)
    assert main.main(larger) == 0
    told = [
        line for line in capsys.readouterr().err.splitlines() if "prepared in another way" in line
    ]
    assert told == [
        f"W The network of {pretrained} was trained on images prepared in another way: "
        "config.data.image_size was 8 and is 10."
    ]


def test_a_run_that_goes_on_does_not_need_the_other_one(
    folder, command, pretrained, finetuned, monkeypatch
):
    options = dict(data__labels=4.0, checkpoint__every=2)
    whole = command("finetune", "whole", init__workdir=pretrained, **options)
    assert main.main(whole) == 0
    copy = folder / "copy"
    shutil.copytree(pretrained, copy)
    moved = command("finetune", "stopped", init__workdir=copy, **options)
    stop = iter([False, True])
    with monkeypatch.context() as patch:
        patch.setattr("ssljax.train._stops", lambda *_: next(stop))
        assert main.main(moved) == 143
    shutil.rmtree(copy)
    assert main.main(moved) == 0
    experiment = Experiment(read(moved, folder / "stopped"))
    assert equal(
        saved(experiment, folder / "stopped").params, saved(experiment, folder / "whole").params
    )


@pytest.mark.parametrize(("labels", "seen"), [(4.0, 40), (0.05, 70)])
def test_only_the_labelled_images_are_seen(command, labels, seen):
    experiment = Experiment(read(command("finetune", data__labels=labels, data__cache="none")))
    assert len(experiment.source) == seen
    assert experiment.task.steps_per_epoch == seen // 16
    own = experiment.load(experiment.source)
    rows = {image.tobytes() for image in own["image"]}
    stream = experiment.stream()
    batches = stream.batches(0)
    for _ in range(8):
        batch = stream.unpack(stream.constants, next(batches))
        assert {image.tobytes() for image in np.asarray(batch["images"]["image"])[:, 0]} <= rows
    batches.close()
    if labels == 4.0:
        assert np.bincount(own["label"]).tolist() == [4] * 10
    again = Experiment(read(command("finetune", data__labels=labels, seed=5)))
    assert np.array_equal(again.load(again.source)["image"], own["image"])
    other = Experiment(read(command("finetune", data__labels=labels, data__labels_seed=1)))
    assert not np.array_equal(other.load(other.source)["image"], own["image"])


def test_a_student_sees_all_images_and_only_the_labels_that_are_given(command, finetuned):
    options = dict(init__workdir=finetuned, data__labels=4.0, method__alpha=0.5)
    experiment = Experiment(read(command("distill", **options)))
    labels = experiment.load(experiment.source)["label"]
    assert len(labels) == 1400
    assert np.bincount(labels[labels >= 0]).tolist() == [4] * 10
    assert main.main(command("distill", "weighted", **options)) == 0


@pytest.mark.parametrize(
    ("method", "changes", "told"),
    [
        ("finetune", dict(init__workdir="/nowhere"), "There is no run in /nowhere: config.init"),
        ("distill", dict(), "A student needs a teacher: set config.init.workdir"),
        ("distill", dict(init__workdir="{simclr}"), "A student needs a teacher"),
        (
            "finetune",
            dict(init__workdir="{simclr}", model__encoder__widths="(4,12)"),
            r"encoder/stage2_conv1/kernel is (3, 3, 4, 8) there and (3, 3, 4, 12) here",
        ),
        (
            "finetune",
            dict(init__workdir="{simclr}", init__step=2),
            "No checkpoint of step 2 in {simclr}/checkpoints: there are [3].",
        ),
        ("finetune", dict(data__labels=500.0), "config.data.labels wants 500 labels a class"),
        ("finetune", dict(data__labels=-1.0), "config.data.labels=-1.0 is impossible"),
        (
            "distill",
            dict(init__workdir="{finetune}", data__labels=4.0, method__online_probe=True),
            "config.method.online_probe learns from the labels of all images",
        ),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    command, pretrained, finetuned, capsys, method, changes, told
):
    places = {"{simclr}": str(pretrained), "{finetune}": str(finetuned)}
    changes = {key: places.get(value, value) for key, value in changes.items()}
    assert main.main(command(method, "mistake", **changes)) == 2
    message = capsys.readouterr().err
    assert told.replace("{simclr}", str(pretrained)) in message
    assert "Traceback" not in message


def test_other_mistakes_of_a_start_are_told(folder, command, pretrained, finetuned, capsys):
    # A method that starts from nothing, and a classifier that is none.
    assert main.main(runs.arguments(folder / "a", init__workdir=pretrained)) == 2
    assert "SimCLR cannot start from another run" in capsys.readouterr().err
    assert main.main(runs.arguments(folder / "b", evals__final="('classifier',)")) == 2
    assert "The method simclr has no classifier of its own" in capsys.readouterr().err
    # A run that was never trained.
    shutil.copytree(pretrained, folder / "empty", ignore=shutil.ignore_patterns("checkpoints"))
    assert main.main(command("finetune", "c", init__workdir=folder / "empty")) == 2
    assert f"There is no checkpoint in {folder / 'empty'}" in capsys.readouterr().err
    # One workdir, two origins.
    arguments = command("finetune", init__workdir=finetuned, data__labels=4.0)
    assert main.main(arguments) == 2
    assert f"config.init.workdir and --workdir are both {finetuned}" in capsys.readouterr().err
    # A record that another version left.
    shutil.copytree(pretrained, folder / "old")
    record = json.loads((folder / "old" / "config.json").read_text())
    del record["method.temperature"]
    (folder / "old" / "config.json").write_text(json.dumps(record))
    assert main.main(command("finetune", "d", init__workdir=folder / "old")) == 2
    assert "cannot be built again" in capsys.readouterr().err
