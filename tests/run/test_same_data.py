"""A run remembers what its training set was made of, and classes are those of the same name."""

import json
import logging
import shutil

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from ssljax import data, main
from ssljax.errors import UserError
from ssljax.evaluate import Evaluator
from ssljax.methods.contract import Feed
from ssljax.methods.joint_embedding import deepcluster_v2, simclr
from ssljax.run import pretrained, same_data
from ssljax.run.experiment import Experiment

FOLDER = runs.ROOT / "configs" / "simclr" / "folder.py"
FINETUNE = runs.ROOT / "configs" / "finetune" / "fashion_mnist.py"
ACCEPT = {"resume.accept": "('data',)"}
COLOURS = {"ant": (255, 0, 0), "bee": (0, 255, 0), "cat": (0, 0, 255)}


def paint(directory, names, count, start=0):
    """Images of one colour for each class, with noise that no two share."""
    for name in names:
        (directory / name).mkdir(parents=True, exist_ok=True)
        for k in range(start, start + count):
            noise = np.random.default_rng(k).normal(0, 5, (8, 8, 3))
            image = np.clip(0.8 * np.array(COLOURS[name])[::-1] + noise, 0, 255)
            cv2.imwrite(str(directory / name / f"{k}.png"), image.astype(np.uint8))


@pytest.fixture
def images(tmp_path):
    paint(tmp_path / "images" / "train", COLOURS, 16)
    return tmp_path / "images"


def config(images, file=FOLDER, **changes):
    """Of a tiny run on a folder, two epochs of three steps long."""
    settings = {"data.dir": images, "data.name": "folder", "data.channels": 3} | changes
    settings = {"model.encoder.name": "small", "steps": 0, "epochs": 2.0} | settings
    command = [
        "ssljax",
        f"--config={file}",
        "--workdir=none",
        *(f"--config.{key}={value}" for key, value in (runs.TINY | settings).items()),
    ]
    return main.parse(command).config


def begin(experiment, workdir):
    """Leaves what a run leaves that has begun and saved a checkpoint."""
    (workdir / "checkpoints" / "3").mkdir(parents=True)
    pretrained.record(experiment.task, same_data.check(experiment, None), workdir)
    return (workdir / "task.json").read_text()


def go_on(resumed, workdir):
    """What `train` does with the records of a run that goes on."""
    recorded = pretrained.recorded(workdir)
    experiment = Experiment(resumed, recorded)
    pretrained.record(experiment.task, same_data.check(experiment, recorded), workdir)
    return experiment


@pytest.fixture
def begun(images, tmp_path):
    return begin(Experiment(config(images)), tmp_path / "run")


def test_the_same_set_elsewhere_is_the_same(images, begun, tmp_path):
    shutil.copytree(images, tmp_path / "moved")
    before = json.loads((tmp_path / "run" / "data.json").read_text())
    go_on(config(tmp_path / "moved"), tmp_path / "run")
    assert (tmp_path / "run" / "task.json").read_text() == begun
    assert json.loads((tmp_path / "run" / "data.json").read_text()) == before
    assert json.loads(begun)["class_names"] == ["ant", "bee", "cat"]


def test_a_set_that_has_grown_is_told_and_nothing_is_written(images, begun, tmp_path):
    paint(images / "train", ["bee"], 4, start=16)
    with pytest.raises(UserError, match=r"it had 48 images and has 52.*accept=\"\('data',\)\""):
        go_on(config(images), tmp_path / "run")
    assert (tmp_path / "run" / "task.json").read_text() == begun
    assert len(json.loads((tmp_path / "run" / "data.json").read_text())["training_set"]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda train: (train / "bee").rename(train / "cow"), "new classes: 'cow'; gone.*: 'bee'"),
        (lambda train: (train / "bee" / "0.png").rename(train / "bee" / "x.png"), "files have oth"),
    ],
)
def test_other_changes_are_told(images, begun, tmp_path, change, message):
    change(images / "train")
    with pytest.raises(UserError, match=message):
        go_on(config(images), tmp_path / "run")


def test_a_method_that_reads_labels_records_the_classes_that_are_there(images, tmp_path, caplog):
    probe = {"method.online_probe": True}
    begin(Experiment(config(images, **probe)), tmp_path / "run")
    shutil.rmtree(images / "train" / "cat")
    with caplog.at_level(logging.WARNING, logger="ssljax"):
        experiment = go_on(config(images, **probe, **ACCEPT), tmp_path / "run")
    assert "'cat'" in caplog.text
    sets = json.loads((tmp_path / "run" / "data.json").read_text())["training_set"]
    assert [each["classes"] for each in sets] == [["ant", "bee", "cat"], ["ant", "bee"]]
    assert experiment.task.class_names == ("ant", "bee", "cat")


def test_an_accepted_change_keeps_the_length_and_is_recorded(images, begun, tmp_path, caplog):
    paint(images / "train", ["bee"], 40, start=16)
    with caplog.at_level(logging.WARNING, logger="ssljax"):
        experiment = go_on(config(images, **ACCEPT), tmp_path / "run")
    assert "it had 48 images and has 88" in caplog.text
    assert (experiment.task.total_steps, experiment.task.steps_per_epoch) == (6, 3)
    assert len(experiment.source) == 88
    assert (tmp_path / "run" / "task.json").read_text() == begun
    made_of = json.loads((tmp_path / "run" / "data.json").read_text())["training_set"]
    assert [each["images"] for each in made_of] == [48, 88]
    # From here on this is the set, and going back is a change as well.
    go_on(config(images), tmp_path / "run")
    shutil.rmtree(images / "train" / "bee")
    with pytest.raises(UserError, match="it had 88 images and has 32"):
        go_on(config(images), tmp_path / "run")


def test_before_the_first_checkpoint_any_set_will_do(images, begun, tmp_path):
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    paint(images / "train", ["bee"], 40, start=16)
    assert go_on(config(images), tmp_path / "run").task.num_images == 88


def test_a_memory_of_each_image_goes_on_with_no_other_set(images, begun, tmp_path, monkeypatch):
    paint(images / "train", ["bee"], 4, start=16)
    feeds = {"images": Feed(("image", "index"))}
    monkeypatch.setattr(simclr.SimCLR, "feeds", lambda config: feeds)
    with pytest.raises(UserError, match=r"simclr remembers each image by its place"):
        go_on(config(images, **ACCEPT), tmp_path / "run")
    assert deepcluster_v2.DeepClusterV2.feeds(config(images)) == feeds


def finetuning(images, **changes):
    settings = {"method.from_layer": 0, "data.labels": 0.0, "evals.final": "('classifier',)"}
    settings |= {"method.view.mean": "(0.,0.,0.)", "method.view.std": "(1.,1.,1.)"}
    return config(images, FINETUNE, **(settings | changes))


def test_a_classifier_keeps_the_classes_it_began_with(images, tmp_path):
    begin(Experiment(finetuning(images)), tmp_path / "run")
    shutil.rmtree(images / "train" / "ant")
    experiment = Experiment(finetuning(images), pretrained.recorded(tmp_path / "run"))
    assert experiment.method.class_names == ("ant", "bee", "cat")
    source = experiment.source
    names = [source.describe(i).split("/")[-2] for i in range(len(source))]
    assert set(zip(names, data.read_labels(source).tolist(), strict=True)) == {
        ("bee", 1),
        ("cat", 2),
    }
    (images / "train" / "dog").mkdir()
    with pytest.raises(UserError, match=r"the class 'dog' that the training set that this run beg"):
        Experiment(finetuning(images), pretrained.recorded(tmp_path / "run"))


def name_colours(state, images):
    """Logits that a perfect classifier of ants, bees and cats could give."""
    means = jnp.mean(images.astype(jnp.float32), axis=(1, 2))
    return {"features": means, "logits": means}


def test_a_classifier_is_scored_by_names_on_a_set_that_lacks_its_first_class(images, tmp_path):
    paint(tmp_path / "other" / "test", ["bee", "cat"], 8)
    experiment = Experiment(finetuning(images, **{"evals.dir": tmp_path / "other"}))
    experiment.method.features = name_colours
    evaluator = Evaluator(experiment)
    evaluator.check()
    assert evaluator.score(experiment.init(), ("classifier",)).values == {"classifier": 1.0}
    (tmp_path / "other" / "test" / "bee").rename(tmp_path / "other" / "test" / "cow")
    with pytest.raises(UserError, match=r"folder/test has the class 'cow' that .* lacks"):
        Evaluator(experiment).check()


def test_probes_learn_and_are_scored_by_names(images, tmp_path):
    paint(tmp_path / "other" / "train", ["bee", "cat", "ant"], 8)
    paint(tmp_path / "other" / "test", ["cat"], 8)
    for evaluated in ({}, {"evals.dir": tmp_path / "other"}):
        paint(images / "test", ["bee", "cat"], 8)
        changes = evaluated | {"evals.final": "('knn',)", "evals.knn.neighbors": "((5,0.07),)"}
        experiment = Experiment(config(images, **changes))
        experiment.method.features = name_colours
        evaluator = Evaluator(experiment)
        evaluator.check()
        assert evaluator.score(experiment.init(), ("knn",)).values == {"knn5": 1.0}


def partly(labels):
    """Stands in for `open_source`: 48 images with these labels, over and over."""
    images = np.zeros((48, 8, 8, 1), np.uint8)
    source = data.ArraySource(images, np.resize(labels, 48))
    source.num_classes, source.class_names = 3, tuple(COLOURS)
    return lambda *_, **__: source


def test_methods_that_learn_labels_refuse_a_set_that_lacks_them(images, monkeypatch):
    monkeypatch.setattr(data, "open_source", partly([-1]))
    for method in ("finetune", "sgan", "one_vs_rest"):
        with pytest.raises(UserError, match=rf"none of its images.*the method {method} learns"):
            Experiment(small(images, method))
    with pytest.raises(UserError, match="the method simclr with its online probe learns"):
        Experiment(config(images, **{"method.online_probe": True}))
    Experiment(config(images))
    monkeypatch.setattr(data, "open_source", partly([0, 1, 2, -1]))
    with pytest.raises(UserError, match=r"array/train #3 has no label, and the method cgan needs"):
        Experiment(small(images, "cgan"))


def test_of_unlabelled_images_no_label_is_drawn_or_repeated(images, monkeypatch):
    monkeypatch.setattr(data, "open_source", partly([0, 1, 2, -1]))
    few = Experiment(small(images, "finetune", **{"data.labels": 6.0}))
    assert np.bincount(data.read_labels(few.source), minlength=3).tolist() == [6, 6, 6]
    game = Experiment(small(images, "sgan", **{"data.labels": 0.0}))
    assert len(game.source) == 48
    assert np.bincount(data.read_labels(game.sources.fed["labelled"]), minlength=3).tolist() == [
        12,
        12,
        12,
    ]


def small(images, method, **changes):
    """The config of a method for Fashion-MNIST, on the smallest images that it takes."""
    file = runs.ROOT / "configs" / method / "fashion_mnist.py"
    kept = {"batch_size": 16, "epochs": 2.0, "steps": 0, "data.dir": images, "data.labels": 0.0}
    if method == "finetune":
        kept |= {"method.from_layer": 0}
    else:
        kept |= {"data.image_size": 16}
    command = ["ssljax", f"--config={file}", "--workdir=none"]
    command += [f"--config.{key}={value}" for key, value in (kept | changes).items()]
    return main.parse(command).config
