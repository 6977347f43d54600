"""Bad input: each mistake is one sentence, exit status 2 and no traceback."""

import cv2
import numpy as np
import pytest
import runs

from ssljax import data, main

FOLDER = runs.ROOT / "configs" / "simclr" / "folder.py"


def _told(command, capsys) -> str:
    """Runs a command that must fail; returns its one sentence."""
    assert main.main(command) == 2
    error = capsys.readouterr().err
    sentences = [line for line in error.splitlines() if line.startswith("ssljax: ")]
    assert len(sentences) == 1, error
    assert "Traceback" not in error
    return sentences[0]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"bach_size": 3}, "config.bach_size is not a key"),
        ({"batch_size": "many"}, "config.batch_size=many"),
        ({"batch_size": 0}, "config.batch_size=0 is impossible"),
        ({"batch_size": 12}, "batch_size=12 cannot be split over 8 devices"),
        ({"batch_size": 8000}, "fewer than one batch of 8000"),
        ({"data__name": "digitz"}, "digitz"),
        ({"data__split": "validation"}, "validation"),
        ({"data__name": "folder"}, "config.data.dir"),
        ({"model__encoder__name": "resnet19"}, "the nearest is resnet18"),
        ({"method__view__size": 2, "data__image_size": 2}, "Images of 2x2 pixels do not fit"),
        ({"method__temperature": -1.0}, "temperature"),
        ({"mesh__data": 3}, "do not lay out 8 device(s)"),
        ({"optimizer__name": "sdg"}, "optimizer's name is 'sdg'"),
        ({"method__view__flip_p": 2.0}, "flip_p must be a number in [0, 1]"),
        ({"evals__final": "('knn',)", "evals__stages": "stage9"}, "no stage 'stage9'"),
    ],
)
def test_a_mistake_in_the_config_is_one_sentence(tmp_path, capsys, changes, wanted):
    assert wanted in _told(runs.arguments(tmp_path / "run", **changes), capsys)


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (["ssljax", "--workdir=x"], "--config is missing"),
        (["ssljax", f"--config={runs.DIGITS}"], "--workdir is missing"),
        (["ssljax", "--config=none.py", "--workdir=x"], "There is no config none.py"),
        (["ssljax", f"--config={runs.DIGITS}", "--workdir=x", "--mode=fly"], "--mode=fly"),
        (["ssljax", f"--config={runs.DIGITS}", "--workdir=x", "fly"], "'fly' is not an option"),
        (["ssljax", f"--config={runs.DIGITS}", "--workdir=x", "--fly"], "fly"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(capsys, command, wanted):
    assert wanted in _told(command, capsys)


def test_a_data_set_that_is_not_prepared_says_how_to_prepare_it(tmp_path, capsys):
    command = runs.arguments(tmp_path / "run", data__name="mnist", data__dir=tmp_path / "none")
    told = _told(command, capsys)
    assert "mnist" in told
    assert "ssljax[prepare]" in told


def test_an_empty_folder_is_told(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    command = runs.arguments(tmp_path / "run", FOLDER, data__dir=tmp_path / "images")
    assert str(tmp_path / "images") in _told(command, capsys)


def test_another_config_in_the_same_workdir_shows_the_difference(tmp_path, capsys):
    assert main.main(runs.arguments(tmp_path, steps=1)) == 0
    told = _told(runs.arguments(tmp_path, steps=1, method__temperature=0.3), capsys)
    assert "method.temperature was 0.2 and is 0.3" in told


def test_a_checkpoint_of_another_model_is_told(tmp_path, capsys):
    assert main.main(runs.arguments(tmp_path, steps=1)) == 0
    (tmp_path / "config.json").unlink()
    told = _told(runs.arguments(tmp_path, steps=1, model__encoder__widths="(4,16)"), capsys)
    assert "is of another model" in told


def test_evaluating_without_a_checkpoint_is_told(tmp_path, capsys):
    told = _told([*runs.arguments(tmp_path), "--mode=evaluate"], capsys)
    assert "There is no checkpoint" in told


def test_after_a_refusal_nothing_is_said_but_the_sentence(tmp_path):
    process = runs.start([*runs.arguments(tmp_path / "run"), "--mode=evaluate"])
    output = runs.finish(process, status=2)
    assert output == (
        f"ssljax: There is no checkpoint in {tmp_path / 'run'}: train first, with --mode=train.\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"data__channels": 3},
        {"method__view__size": 6},
        {"data__image_size": 10},
        {"data__resize": "short_side"},
        {"model__encoder__dtype": "bfloat16"},
        {"model__encoder__widths": "(4,12)"},
    ],
)
def test_what_belongs_to_the_trained_network_cannot_change_when_it_is_scored(
    trained, capsys, change
):
    change = {"steps": 1, **change}
    assert main.main(runs.arguments(trained, **change)) == 2
    resumed = capsys.readouterr().err
    told = _told([*runs.arguments(trained, **change), "--mode=evaluate"], capsys)
    differences = told.split("use the same values")[0]
    assert all(key.replace("__", ".") in differences for key in change if key != "steps")
    assert differences in resumed
    assert not (trained / "scores.json").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained")
    assert main.main(runs.arguments(workdir, steps=1)) == 0
    return workdir


def _jpegs(directory, count: int = 100) -> None:
    """Real digits, enlarged and written as JPEG files."""
    directory.mkdir()
    images = data.load_all(
        data.open_source("digits", "train"), image_size=24, channels=1, limit=count
    )["image"]
    for number, image in enumerate(images):
        cv2.imwrite(str(directory / f"{number:03d}.jpg"), image)


def test_a_folder_without_labels_trains_and_skips_a_truncated_file(tmp_path, capsys):
    _jpegs(tmp_path / "images")
    broken = tmp_path / "images" / "042.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    command = runs.arguments(
        tmp_path / "run",
        FOLDER,
        data__dir=tmp_path / "images",
        data__image_size=24,
        method__view__size=16,
        model__encoder__name="small",
        steps=12,  # Two epochs: every file is met.
    )
    assert main.main(command) == 0
    assert capsys.readouterr().err.count("042.jpg") == 1
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 12


def test_too_many_corrupt_files_stop_the_run_with_their_names(tmp_path, capsys):
    _jpegs(tmp_path / "images", count=32)
    for number in (3, 5):
        (tmp_path / "images" / f"{number:03d}.jpg").write_bytes(b"no image")
    command = runs.arguments(
        tmp_path / "run",
        FOLDER,
        data__dir=tmp_path / "images",
        data__image_size=24,
        data__max_corrupt=1,
        method__view__size=16,
        model__encoder__name="small",
        steps=4,
    )
    told = _told(command, capsys)
    assert "003.jpg" in told
    assert "005.jpg" in told


def test_a_probe_without_labels_is_told_before_training(tmp_path, capsys):
    _jpegs(tmp_path / "images", count=32)
    command = runs.arguments(
        tmp_path / "run",
        FOLDER,
        data__dir=tmp_path / "images",
        data__image_size=24,
        method__view__size=16,
        model__encoder__name="small",
        evals__final="('knn',)",
        evals__test_split="train",
    )
    assert "has no labels, and knn needs them" in _told(command, capsys)
    assert (
        not (tmp_path / "run" / "metrics.jsonl").exists()
        or not (tmp_path / "run" / "metrics.jsonl").read_text()
    )


def test_a_checkpoint_is_evaluated_alone_and_on_another_data_set(tmp_path, capsys):
    small = {"evals__knn__neighbors": "((20, 0.07),)", "evals__final": "('knn',)"}
    assert main.main(runs.arguments(tmp_path / "run", **small)) == 0
    trained = capsys.readouterr().out
    assert main.main([*runs.arguments(tmp_path / "run", **small), "--mode=evaluate"]) == 0
    alone = capsys.readouterr().out
    assert alone == trained
    rows = [line for line in alone.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows[2:]] == [
        "raw pixels", "random network", "trained network",
    ]  # fmt: skip
    for label in range(2):
        (tmp_path / "other" / "train" / str(label)).mkdir(parents=True)
        for number in range(8):
            image = np.full((24, 24, 3), 60 + 120 * label + number, np.uint8)
            name = str(tmp_path / "other" / "train" / str(label) / f"{number}.png")
            cv2.imwrite(name, image)
    (tmp_path / "other" / "test").symlink_to(tmp_path / "other" / "train")
    other = {
        "evals__name": "folder",
        "evals__dir": tmp_path / "other",
        "evals__knn__neighbors": "((1, 0.1),)",
    }
    command = runs.arguments(tmp_path / "run", **small | other)
    assert main.main([*command, "--mode=evaluate"]) == 0
    assert "| trained network | 100.0 |" in capsys.readouterr().out
