"""What stands in the tables of videos, which runs they are made of, and plain answers on motion."""

import argparse
import json
import pathlib

import cv2
import numpy as np
import pytest

from benchmarks import evidence, runs, video_runs
from ssljax.config import file as config_file
from ssljax.data.flow_files import encode_flow
from ssljax.tools import motion_masks

ASKED = argparse.Namespace(out=pathlib.Path("/out"), data_dir="/data")


def probes(value, last):
    """Scores of two stages; the second is better on held-out images, by half."""
    found = {}
    for stage, factor in (("stage1", 1.0), ("stage2", 1.5)):
        found[f"{stage}/knn20"] = factor * value
        found[f"tiny_imagenet_100/{stage}/linear"] = factor * value / 2
        found[f"tiny_imagenet_100/{stage}/linear_holdout"] = factor if last else -factor
    return found


@pytest.fixture
def made(monkeypatch):
    """The runs that are asked for, by the name of their workdir."""
    asked = {}

    def run(config, workdir, *changes, cores):
        asked[workdir.name] = (config, changes)
        scores = {
            "raw pixels": probes(0.2, True),
            "random network": probes(0.4, False),
            "trained network": probes(0.6, True),
        }
        final = next(x for x in changes if "evals.final" in x)
        if "pretext" in final:
            scores["chance"] = {"own": 0.5}
            scores["random network"]["own"], scores["trained network"]["own"] = 0.55, 0.75
        if "propagation" in final:
            stages = next(x for x in changes if "propagation.stages" in x)
            prefixes = ("stage3/", "tracker/") if "tracker" in stages else ("",)
            for number, row in enumerate(("first mask", "random network", "trained network")):
                scores.setdefault(row, {}).update(
                    {
                        f"{prefix}{name}": 0.25 + 0.125 * number + 0.5 * ("track" in prefix)
                        for prefix in prefixes
                        for name in ("j_and_f", "j_mean", "j_recall", "f_mean", "f_recall")
                    }
                )
        return {"scores": scores, "seconds": 90.0}

    monkeypatch.setenv("TFDS_DATA_DIR", "")
    monkeypatch.setattr(runs, "run", run)
    return asked


def test_own_scores_probes_and_masks_that_follow_stand_beside_the_random_network(made):
    results = {name: [video_runs.train(ASKED, name, 3)] for name in video_runs.TRIALS}
    assert list(made) == [f"{name}_3" for name in evidence.methods_of("video", "")]
    for name, trial in video_runs.TRIALS.items():
        config, changes = made[f"{name}_3"]
        assert config == trial.config
        assert f"--config.data.dir=/out/video/{trial.folder}" in changes
        assert ("pretext" in changes[-1]) == (name != "simclr")
    rows = {line.split(" | ")[0].strip("| "): line for line in _lines(results)}
    assert rows["raw pixels"] == "| raw pixels | | | 20.0 | 10.0 | | |"
    assert rows["tracking"] == (
        "| tracking | own **75.0** / 55.0 (50.0) | stage2 / stage1 | **90.0** / 40.0 | "
        "**45.0** / 20.0 | 1 | 1.5 |"
    )
    assert rows["simclr"].startswith("| simclr |  | stage2 / stage1 |")
    assert rows["first mask"] == "| first mask | 25.0 | 25.0 | 25.0 |"
    assert rows["tracking, stage3, random"].endswith("| 37.5 | 37.5 | 37.5 |")
    assert rows["**video_colorization, tracker**"].endswith("| 100.0 | 100.0 | 100.0 |")
    assert rows["**video_colorization, stage3**"].endswith("| 50.0 | 50.0 | 50.0 |")


def _lines(results):
    return [line for line in video_runs.table(results).splitlines() if line.startswith("| ")]


def test_every_trial_has_its_config_and_keys():
    for trial in video_runs.TRIALS.values():
        keys = config_file.load(trial.config)
        for change in trial.changes:
            node = keys
            for part in change.removeprefix("--config.").partition("=")[0].split("."):
                node = node[part]


def test_plain_answers_are_marked_on_the_questions_that_the_network_is_asked(tmp_path):
    """What moves is one half of each frame, always the left one; the camera moves, too."""
    root, side = tmp_path / "video", 96
    mask = np.zeros((side, side), np.uint8)
    mask[:, : 2 * side // 5] = 1
    # The ground's flow is as long as that of what moves, so that lengths alone say nothing.
    flow = np.full((side, side, 2), (-6.0, 0.0), np.float32)
    flow[:, : 2 * side // 5] = (6.0, 0.0)
    for split in ("train", "test"):
        for number in range(3):
            for place, content in (
                ("masks/{}/images/a/{}.png", cv2.imencode(".png", mask)[1].tobytes()),
                ("masks/{}/masks/a/{}.png", cv2.imencode(".png", mask)[1].tobytes()),
                ("videos/flow/{}/a/{}.png", encode_flow(flow)),
            ):
                file = root / place.format(split, number)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
    record = {"frames": {split: {"kept": 3} for split in ("train", "test")}}
    (root / "masks" / motion_masks.RECORD).write_text(json.dumps(record))
    found = video_runs.motion_floors(argparse.Namespace(out=tmp_path))
    assert found["thresholded flow"] == 1.0
    # Windows and mirrors differ, so that no place moves in all questions.
    assert 0.2 < found["everything"] < 0.8
    assert found["one mask"] < 1.0
