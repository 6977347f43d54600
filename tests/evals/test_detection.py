"""Detection's scores at the size of the images, against those that are counted here."""

import dataclasses
import importlib.util
import json

import boxed
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import report
from ssljax.augment import ViewPolicy
from ssljax.config import base_config
from ssljax.errors import UserError
from ssljax.evals import Run
from ssljax.evals.detection import Detection
from ssljax.methods.transfer.detect import Detect
from ssljax.metrics import Found, Truth, coco_average_precision, voc_average_precision
from ssljax.run.experiment import Experiment

SIZE, SIDE = (20, 30), 60
MOVED = np.array([1.0, 0.0, 1.0, 0.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("boxed")
    return directory, boxed.paint(directory, {"train": 10, "test": 11}, SIZE)


def config(folder, **keys):
    made = base_config("detect")
    made.batch_size = 8
    made.data.update(name="folder", dir=str(folder[0]), image_size=SIDE, resize="pad")
    made.data.update(annotations=boxed.ANNOTATIONS, box_classes=boxed.CLASSES, max_boxes=4)
    made.method.update(ranges=(16.0,), max_detections=4)
    made.method.view.update(dataclasses.asdict(ViewPolicy(SIDE, crop_scale=None)))
    made.model.encoder.update(name="small", widths=(4,), stem_stride=4)
    made.model.pyramid.update(channels=8, finest=4, levels=2)
    made.model.head.update(convs=1, groups=4)
    made.evals.detection.update(keys)
    return made


def answers(folder, run):
    """What a detector says that knows the boxes: by image, a pixel too low, one at another place.

    It tells images by their pixels, and says nothing of every fifth.
    """
    source = run.open("test").source
    said = {}
    drawings = folder[1]["test"]
    images = run.experiment.load(source)["image"]
    for place, image in enumerate(images):
        name = "/".join(source.describe(place).split("/")[-2:])
        _, boxes, classes = drawings[name]
        rows = np.full((4, 6), -1.0, np.float32)
        if place % 5:
            frame = 2 * (boxes + MOVED) + np.array([10, 0, 10, 0])
            scores = 0.9 - 0.1 * np.arange(len(boxes)) - 0.01 * place
            rows[: len(boxes)] = np.column_stack([frame, classes, scores])
            rows[3] = 0, 0, 20, 20, place % 2, 0.2 + 0.05 * place
        said[image.tobytes()] = name, rows
    return said


def test_scores_are_of_the_boxes_of_the_images_themselves(folder, monkeypatch):
    run = Run(Experiment(config(folder)))
    said = answers(folder, run)
    table = jnp.asarray(np.stack([rows for _, rows in said.values()]))
    stored = jnp.asarray(np.stack([np.frombuffer(key, np.uint8) for key in said]))

    def detect(self, state, images):
        flat = images.reshape(len(images), -1)
        alike = jnp.all(flat[:, None] == stored[None], axis=2)
        return table[jnp.argmax(alike, axis=1)]

    monkeypatch.setattr(Detect, "detect", detect)
    evaluation, state = Detection(), run.experiment.init()
    names = evaluation.check(run)
    scores = evaluation.score(run, state)
    assert tuple(scores.values) == names

    pairs = []
    for name, rows in said.values():
        _, boxes, classes = folder[1]["test"][name]
        none = np.zeros(len(boxes), bool)
        real = rows[rows[:, 4] >= 0]
        own = np.clip((real[:, :4] - np.array([10, 0, 10, 0])) / 2, 0, [*SIZE, *SIZE])
        pairs.append(
            (Found(own, real[:, 4], real[:, 5]), Truth(np.float64(boxes), classes, none, none))
        )
    ap = coco_average_precision(pairs, 2)
    expected = {
        "ap": ap.mean(),
        "ap50": ap[0].mean(),
        "ap75": ap[5].mean(),
        "voc12": voc_average_precision(pairs, 2).mean(),
        "voc07": voc_average_precision(pairs, 2, points=11).mean(),
    }
    for name, value in expected.items():
        assert scores.values[name] == pytest.approx(value, abs=1e-4), name
    assert 0.9 > scores.values["ap50"] > scores.values["ap75"] > scores.values["ap"] > 0.1
    assert evaluation.score(run, None).values == {}

    # Each of eight images with what is there and what is found, at five times its size.
    picture = scores.pictures["detection"]
    assert picture.shape == (4 * 301 - 1, 4 * 301 - 1, 3)
    assert not np.array_equal(picture[:300, :300], picture[:300, 301:601])


def test_an_image_may_have_more_boxes_than_are_learnt_of_one(folder):
    asked = config(folder)
    run = Run(Experiment(asked))
    state = run.experiment.init()
    # Training is not reached: of one box an image there is no room for these.
    asked.data.max_boxes = 1
    few = Run(Experiment(asked))
    assert few.experiment.sources.fed["images"].fields["boxes"].count == 1
    assert Detection().score(few, state).values == Detection().score(run, state).values


def test_classes_that_are_numbered_otherwise_are_told(tmp_path):
    boxed.paint(tmp_path, {"train": 10, "test": 8}, SIZE)
    file = tmp_path / boxed.ANNOTATIONS.format(split="test")
    whole = json.loads(file.read_text())
    for category in whole["categories"]:
        category["name"] = {"bright": "dark", "dark": "bright"}[category["name"]]
    file.write_text(json.dumps(whole))
    with pytest.raises(UserError, match="are of the classes bright, dark, and the network has lea"):
        Detection().check(Run(Experiment(config((tmp_path, None)))))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.method.view.update(size=32), "view.size is 32 and data.image_size is 60"),
        (lambda c: c.data.update(resize="short_side"), "'short_side' cuts off"),
        (lambda c: c.evals.update(name="digits", dir=""), "has no boxes, and detection needs them"),
    ],
)
def test_what_cannot_be_scored_is_told(folder, change, told):
    asked = config(folder)
    change(asked)
    with pytest.raises(UserError, match=told):
        Detection().check(Run(Experiment(asked)))


def test_other_methods_and_a_missing_package_are_told(folder, monkeypatch):
    asked = base_config("simclr")
    asked.data.update(name="folder", dir=str(folder[0] / "train"), image_size=8)
    asked.method.view.size = 8
    asked.batch_size = 8
    asked.model.encoder.update(name="small", widths=(4,))
    with pytest.raises(UserError, match="'simclr' finds no boxes"):
        Detection().check(Run(Experiment(asked)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs faster-coco-eval, .* run pip install"):
        Detection().check(Run(Experiment(config(folder, official=True))))


def test_a_set_without_boxes_is_refused_with_where_to_name_them(folder):
    asked = config(folder)
    asked.data.annotations = ""
    with pytest.raises(UserError, match=r"no field 'boxes', .* config.data.boxes_key, or a folder"):
        Experiment(asked)


def test_boxes_are_drawn_in_the_colour_of_their_class():
    image = np.full((10, 12, 1), 50, np.uint8)
    found = report.boxed(image, np.array([[2.0, 3.0, 8.0, 9.0]]), np.array([1]), 2)
    assert found.shape == (10, 12, 3)
    edge = np.zeros((10, 12), bool)
    edge[2:8, 3:9] = True
    edge[3:7, 4:8] = False
    assert (found[edge] == [0, 255, 0]).all()
    assert (found[~edge] == 50).all()
    assert report.boxed(image, np.zeros((0, 4)), np.zeros(0, int), 2, 3).shape == (30, 36, 3)
