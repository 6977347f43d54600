"""What stands in the tables of videos, which runs they are made of, and plain answers on motion."""

import argparse
import json
import pathlib

import cv2
import numpy as np
import pytest

from benchmarks import evidence, runs, video_floors, video_runs, video_sets
from ssljax.config import file as config_file
from ssljax.data.flow_files import encode_flow
from ssljax.tools import motion_masks

ASKED = argparse.Namespace(out=pathlib.Path("/out"), data_dir="/data")


def probes(value, last):
    """Scores of two stages, of which `last` or the first is better on held-out images of train.

    Of the windows of frames it is the other way round.
    """
    found = {}
    for stage, factor in (("stage1", 1.0), ("stage2", 1.5)):
        for name, part, is_last in (("folder", 1.0, not last), ("tiny_imagenet_100", 0.5, last)):
            for probe in ("knn20", "linear"):
                found[f"{name}/{stage}/{probe}"] = factor * value * part
            found[f"{name}/{stage}/linear_holdout"] = factor if is_last else -factor
    return found


@pytest.fixture
def made(monkeypatch):
    """The runs that are asked for, by the name of their workdir."""
    asked = {}

    def run(config, workdir, *changes, cores):
        asked[workdir.name] = (config, changes)
        scores = {"random network": probes(0.4, False), "trained network": probes(0.6, True)}
        if _PIXELS in changes:
            scores["raw pixels"] = probes(0.2, True)
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
    pixels = [changes for _, changes in made.values() if _PIXELS in changes]
    assert pixels == [made["motion_segmentation_3"][1]]
    sets = "(('folder', 'train', 'test', '/out/video/crops'), ('tiny_imagenet_100', "
    assert all(f"--config.evals.transfer.sets={sets}" in " ".join(x) for _, x in made.values())
    rows = {line.split(" | ")[0].strip("| "): line for line in _lines(results)}
    assert rows["raw pixels"] == "| raw pixels | | 20.0 | 10.0 | 10.0 | | |"
    assert rows["tracking"] == (
        "| tracking | own **75.0** / 55.0 (50.0) | **60.0** / 60.0 (1 / 2) | "
        "**45.0** / 20.0 (2 / 1) | **45.0** / 20.0 (2 / 1) | 1 | 1.5 |"
    )
    assert rows["simclr"].startswith("| simclr |  | **60.0** / 60.0 (1 / 2) |")
    assert rows["first mask"] == "| first mask | 25.0 | 25.0 | 25.0 |"
    assert rows["tracking, stage3, random"].endswith("| 37.5 | 37.5 | 37.5 |")
    assert rows["**video_colorization, tracker**"].endswith("| 100.0 | 100.0 | 100.0 |")
    assert rows["**video_colorization, stage3**"].endswith("| 50.0 | 50.0 | 50.0 |")


_PIXELS = "--config.evals.transfer.pixels=True"


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
    found = video_floors.motion_floors(argparse.Namespace(out=tmp_path))
    assert found["thresholded flow"] == 1.0
    # Windows and mirrors differ, so that no place moves in all questions.
    assert 0.2 < found["everything"] < 0.8
    assert found["one mask"] < 1.0


def test_windows_of_frames_are_grey_and_some_are_mirrored(tmp_path):
    """Frames rise in grey from left to right; of each there are so many windows of one size."""
    ramp = np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (64, 1, 3))
    for place in ("train/a/00000.jpg", "test/b/00007.jpg"):
        file = tmp_path / "frames" / place
        file.parent.mkdir(parents=True)
        cv2.imwrite(str(file), ramp)
    video_sets.cut_crops(tmp_path / "frames", tmp_path / "crops")
    files = sorted((tmp_path / "crops").rglob("*.png"))
    assert [str(file.relative_to(tmp_path / "crops")) for file in files] == [
        *(f"test/b/00007_{n}.png" for n in range(4)),
        *(f"train/a/00000_{n}.png" for n in range(2)),
    ]
    crops = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(int) for file in files]
    assert {crop.shape for crop in crops} == {(48, 48)}
    rises = [crop[0, -1] - crop[0, 0] for crop in crops]
    assert all(44 <= abs(rise) <= 50 for rise in rises)
    assert min(rises) < 0 < max(rises)
    assert len({crop[0].min() for crop in crops}) > 2


def test_the_strip_has_the_first_mask_then_what_random_and_trained_networks_say(
    tmp_path, monkeypatch
):
    asked = argparse.Namespace(out=tmp_path, data_dir="")
    grays = {"video_colorization": {"random": 40, "trained": 80}}
    grays["tracking"] = {"random": 120, "trained": 160}

    def evaluate(config, workdir, name, *changes):
        place = workdir / "scores-here-pictures"
        place.mkdir(parents=True)
        for network, gray in grays[workdir.name.removesuffix("_0")].items():
            # Of two clips a row of masks, and a row of what is said, with a line between rows.
            rows = [np.full((12, 8), level, np.uint8) for level in (5, gray, 10, gray + 5)]
            cv2.imwrite(str(place / f"propagation_{network}_9.png"), np.concatenate(rows)[:-1])

    monkeypatch.setattr(runs, "evaluate", evaluate)
    video_runs.followed_strip(asked)
    strip = cv2.imread(str(tmp_path / "video/followed.jpg"), cv2.IMREAD_GRAYSCALE)
    found = [int(x) for x in strip[6::12, 4]]
    np.testing.assert_allclose(found, [5, 40, 120, 80, 160, 10, 45, 125, 85, 165], atol=4)
