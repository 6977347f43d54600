"""Runs of segmentation that are compared, what stands in their tables, and the CRF's grid."""

import argparse

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import evidence, runs, segmentation_crf, segmentation_runs
from ssljax.ops import crf


def scores(miou):
    return {"miou": miou, "pixel_accuracy": miou + 0.4, "class_accuracy": miou + 0.1}


def linear(*values):
    return {
        f"stage{number}/linear_{name}": x
        for number, value in enumerate(values, start=1)
        for name, x in scores(value).items()
    }


def trial(miou, held=None, random=None):
    rows = {"trained network": scores(miou)}
    if random is not None:
        rows["random network"] = scores(random)
    made = {"scores": rows, "seconds": 120.0}
    return made if held is None else made | {"validation": {"trained network": scores(held)}}


LINEAR = {
    "scores": {
        "raw pixels": linear(0.1, 0.1),
        "random network": linear(0.2, 0.15),
        "trained network": linear(0.22, 0.3),
    },
    "seconds": 60.0,
}


def test_linear_heads_stand_by_stage_and_networks_beside_the_random_one():
    results = {
        "linear": [LINEAR],
        "front end": [trial(0.3, 0.31, 0.02), trial(0.4, 0.33, 0.02)],
        "pyramid from scratch with 10 masks": [trial(0.15)],
    }
    lines = segmentation_runs.table(results).splitlines()
    assert lines[2] == "| raw pixels | 10.0 | 50.0 | 20.0 |"
    assert lines[4] == "| random encoder, stage2 | 15.0 | 55.0 | 25.0 |"
    assert lines[6] == "| SimCLR, stage2 | 30.0 | 70.0 | 40.0 |"
    assert lines[10].startswith("| random | 2.0 ± 0.0 | 42.0 ± 0.0 |")
    assert lines[11] == (
        "| front end | 35.0 ± 7.1 | 75.0 ± 7.1 | 45.0 ± 7.1 | 32.0 ± 1.4 | 2 | 2.0 |"
    )
    assert lines[12] == "| pyramid from scratch with 10 masks | 15.0 | 55.0 | 25.0 |  | 1 | 2.0 |"


def test_the_best_of_all_masks_is_chosen_by_the_validation_split():
    all_masks = segmentation_runs.WITH_ALL_MASKS
    results = {name: [trial(0.9 - held, held)] for held, name in enumerate(all_masks)}
    results["linear"] = [LINEAR]
    assert segmentation_runs.best(results) == all_masks[-1] == "pyramid from SimCLR"
    del results["front end"]  # Then the best is not known.
    assert segmentation_runs.best(results) == ""


def test_every_network_is_trained_for_equally_many_steps(tmp_path, monkeypatch):
    asked, made = argparse.Namespace(out=tmp_path, data_dir="DIR"), {}

    def run(config, workdir, *changes, cores=None):
        made[workdir.name] = (config, changes)
        return trial(0.1)

    def evaluate(config, workdir, name, *changes, cores=None):
        assert (config, changes[:-2]) == made[workdir.name]
        assert changes[-2:] == (
            "--config.evals.test_split=validation",
            "--config.evals.baselines=False",
        )
        return {"scores": {"trained network": scores(0.7)}}

    monkeypatch.setattr(runs, "run", run)
    monkeypatch.setattr(runs, "evaluate", evaluate)
    trials = evidence.methods_of("segmentation", "")
    found = {name: segmentation_runs.train(asked, name, 3) for name in trials}
    for name in trials:
        config, changes = made[f"{name}_3".replace(" ", "_")]
        assert "--config.seed=3" in changes
        if name == "linear":
            assert config == "simclr/camvid"
            continue
        assert {"--config.steps=300", "--config.method.view.size=112"} <= set(changes)
        starts = f"--config.init.workdir={tmp_path / 'segmentation' / 'linear_3'}"
        assert (starts in changes) == ("SimCLR" in name)
        assert ("--config.data.split=train[:10]" in changes) == ("10 masks" in name)
        assert ("validation" in found[name]) == ("masks" not in name)
        assert ("--config.model.head.name=context" in changes) == ("context" in name)


def test_the_grid_infers_what_the_crf_does():
    rng = np.random.default_rng(0)
    image = np.zeros((12, 10, 3), np.uint8)
    image[:, 5:] = 180
    probabilities = rng.dirichlet(np.ones(3), (12, 10)).astype(np.float32)
    choices = [segmentation_crf.Choice(*x) for x in ((5, 10, 0.5), (5, 10, 4), (1, 400, 1))]
    found = list(segmentation_crf.refined(image, probabilities, choices))
    unary = crf.unary_from_probabilities(jnp.asarray(probabilities))
    for choice, predicted in zip(choices, found, strict=True):
        kernel = crf.Kernel(choice.position, choice.color, choice.weight)
        expected = crf.dense_crf(unary, image, (crf.DEEPLAB[0], kernel), 10).argmax(axis=2)
        np.testing.assert_array_equal(predicted, expected)
    assert len({predicted.tobytes() for predicted in found}) == 3


def test_tables_of_the_crf_tell_the_grid_and_the_scores_before_and_after():
    found = {"alone": 0.2, "grid": [[10, 3, 1], [10, 3, 2], [30, 3, 1], [30, 3, 2]]}
    lines = segmentation_crf.grid_table(found | {"miou": [0.21, 0.22, 0.23, 0.24]}).splitlines()
    assert lines[0] == "| places, colours | weight 1 | weight 2 |"
    assert lines[2:4] == ["| 10, 3 | 21.0 | 22.0 |", "| 30, 3 | 23.0 | 24.0 |"]
    assert lines[-1] == "Without it: 20.0."
    row = {f"{p}{name}": x for p, y in (("", 0.3), ("crf/", 0.35)) for name, x in scores(y).items()}
    tested = {"scores": {"trained network": row}}
    chosen = segmentation_crf.Choice(30.0, 3.0, 2.0)
    lines = segmentation_crf.before_and_after(tested, chosen).splitlines()
    assert lines[2] == "| the network | 30.0 | 70.0 | 40.0 |"
    assert lines[3] == "| after the CRF (places 30, colours 3, weight 2) | 35.0 | 75.0 | 45.0 |"


def test_overlays_are_written_in_the_right_colours(tmp_path):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0] = 200
    segmentation_crf.write_jpeg(picture, tmp_path / "red.jpg")
    blue, _, red = cv2.imread(str(tmp_path / "red.jpg"))[8, 8]
    assert red == pytest.approx(200, abs=8)
    assert blue < 8
