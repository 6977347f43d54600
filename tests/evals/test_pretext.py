"""The score of a method's own pretext task, through the command line."""

import json

import cv2
import numpy as np
import pytest
from runs import ROOT, arguments

from ssljax import data, main
from ssljax.config import base_config
from ssljax.config import file as config_file
from ssljax.errors import UserError
from ssljax.evals import Run
from ssljax.evals.pretext import Pretext
from ssljax.run.experiment import Experiment

ROTATION = f"{ROOT / 'configs' / 'rotation' / 'cifar10.py'}:cpu"
GREY = {
    "data__name": "digits",
    "data__channels": 1,
    "method__view__crop_padding": 0,
    "method__view__mean": "(0.5,)",
    "method__view__std": "(0.5,)",
    "model__encoder__convs_per_stage": 1,
}


def test_answers_are_scored_beside_a_guess_and_shown(tmp_path, monkeypatch):
    command = arguments(tmp_path, ROTATION, **GREY, evals__final="('pretext',)", steps=2)
    monkeypatch.setattr("sys.argv", command)
    main.main()
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert scores["chance"] == {"rotation_accuracy": 0.25}
    for row in ("random network", "trained network"):
        assert 0 <= scores[row]["rotation_accuracy"] <= 1

    picture = cv2.imread(str(tmp_path / "pictures" / "pretext_2.png"))
    assert picture.shape[:2] == (
        8 * 9 - 1,
        8 * 9 - 1,
    )  # Eight images, four copies and four guesses.
    upright = cv2.imread(str(tmp_path / "pictures" / "pretext_2.png"))[:8, :8]
    quarter = picture[:8, 9:17]
    assert np.array_equal(np.rot90(upright), quarter)


def test_a_method_without_a_task_is_told_so(tmp_path):
    config = base_config("simclr")
    config.data.update(name="digits", image_size=8, channels=1)
    config.method.view.size = 8
    config.model.encoder.update(name="small", widths=(4,))
    with pytest.raises(UserError, match="'simclr' has no pretext task"):
        Pretext().check(Run(Experiment(config)))


def test_what_knows_seen_images_alone_is_asked_about_the_training_set(monkeypatch):
    config = config_file.load("exemplar/cifar10:cpu")
    config.data.update(name="digits", split="train", image_size=8, channels=1)
    config.method.view.update(size=8, mean=None, std=None)
    config.model.encoder.update(widths=(4,), convs_per_stage=1)
    run = Run(Experiment(config))
    opened = []
    source = run.open("train")
    monkeypatch.setattr(run, "open", lambda split: opened.append(split) or source)
    assert Pretext().check(run) == ("exemplar_accuracy",)
    assert opened == ["train"]
    assert config.evals.test_split == "test"
    config.evals.pretext.split = "test"
    with pytest.raises(UserError, match="training set alone, digits/train"):
        Pretext().check(Run(Experiment(config)))


def test_where_chance_depends_on_the_images_a_guess_is_scored_without_padding():
    config = base_config("autoencoder")
    config.data.update(name="digits", image_size=8, channels=1)
    config.evals.update(test_split="test[:10]", batch_size=8)  # Six rows of padding.
    config.method.update(decoder_widths=(4,), bottleneck=4)
    config.method.view.update(size=8, mean=(0.3,), std=(0.4,))
    config.model.encoder.update(name="small", widths=(4,))
    run = Run(Experiment(config))
    scores = Pretext().score(run, None).values
    source = run.open("test[:10]").source
    pixels = run.experiment.load(data.Subset(source, np.arange(10)))["image"] / 255.0
    errors = np.mean(np.square(pixels - 0.3), axis=(1, 2, 3))
    assert scores["variance_explained"] == pytest.approx(1 - errors.mean() / 0.16, rel=1e-4)
    assert scores["psnr"] == pytest.approx(-10 * np.mean(np.log10(errors)), rel=1e-4)
