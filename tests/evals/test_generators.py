"""Generators through the command line: pictures, scores with their baselines, sampled files."""

import json
import shutil

import affine
import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from ssljax import config as configs
from ssljax import evaluate, main
from ssljax.errors import UserError
from ssljax.evals import Run
from ssljax.evals.pictures import Pictures, check_channels
from ssljax.evals.sampling import interpolate, make_sampler, picture_key
from ssljax.run.experiment import Experiment

STEPS = 60
SCORES = {
    "evals__final": "('knn','fid','kid','precision_recall','coverage','pictures')",
    "evals__knn__neighbors": "((5, 0.1),)",
    "evals__batch_size": 128,
    "evals__generator__count": 300,
}
PICTURES = ("samples", "interpolations", "real_and_samples", "neighbors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with affine.listed():
        yield tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def encoder(folder):
    """A run whose encoder compares images."""
    assert main.main(runs.arguments(folder / "simclr", steps=5, batch_size=64)) == 0
    return folder / "simclr"


@pytest.fixture(scope="module")
def command(folder, encoder):
    def arguments(*options, **changes):
        chosen = {"steps": STEPS, "batch_size": 64}
        chosen |= {"evals__fid__every": 30, "evals__pictures__every": 30}
        chosen |= {"log__tensorboard": True, "evals__generator__extractor": encoder}
        return [*affine.arguments(folder, **(chosen | SCORES | changes)), *options]

    return arguments


@pytest.mark.parametrize("channels", [2, 4])
def test_images_that_are_no_pictures_are_refused_before_training(channels):
    with pytest.raises(UserError, match=f"1 or 3 channels, and these have {channels}: do"):
        check_channels(channels, "do without")


@pytest.fixture(scope="module")
def trained(folder, command):
    assert main.main(command()) == 0
    return folder / "affine"


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def opened(arguments):
    config = main.parse(arguments).config
    configs.check(config)
    return Experiment(config)


def told(arguments, capsys):
    capsys.readouterr()
    assert main.main(arguments) == 2
    # What was found so far is told as well.
    lines = capsys.readouterr().err.splitlines()
    (sentence,) = [line for line in lines if not line.startswith("I ")]
    return sentence


def test_scores_stand_between_held_out_reals_and_the_untrained_generator(trained, folder):
    result = json.loads((trained / "scores.json").read_text())
    table = result["scores"]
    assert list(table) == [
        "raw pixels", "random network", "trained network",
        "held-out reals", "random generator", "trained generator",
    ]  # fmt: skip
    assert set(table["trained network"]) == {"knn5"}
    of = "simclr-digits-step5_n300_digits-test-397_none"
    generators = [table[name] for name in list(table)[3:]]
    assert all(
        set(scores) == {
            f"fid_{of}", f"kid_{of}", f"precision_{of}", f"recall_{of}", f"class_kl_{of}",
            f"classes_hit_{of}",
        } for scores in generators
    )  # fmt: skip
    for metric in ("fid", "kid", "class_kl"):
        floor, random, ours = (scores[f"{metric}_{of}"] for scores in generators)
        assert floor < ours < random
    # One grey image of every class and spread is of few classes; the digits are of all ten.
    assert generators[0][f"classes_hit_{of}"] == 10 > generators[1][f"classes_hit_{of}"]
    markdown = (trained / "scores.md").read_text()
    assert "| network " in markdown
    assert f"| fid_{of} " in markdown
    lines = [json.loads(x) for x in (trained / "metrics.jsonl").read_text().splitlines()]
    fids = {line["step"]: line[f"eval/fid_{of}"] for line in lines if f"eval/fid_{of}" in line}
    assert list(fids) == [30, 60]
    assert fids[60] == generators[2][f"fid_{of}"] < fids[30]
    assert len(list((folder / "simclr" / "reference").glob("*.npz"))) == 1


def test_a_checkpoint_scores_as_it_did_at_the_end_of_training(trained, command, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    options = {"evals__final": "('fid',)", "evals__baselines": False}
    assert main.main(command("--mode=evaluate", f"--workdir={tmp_path / 'run'}", **options)) == 0
    after, before = (
        json.loads(path.read_text())["scores"]["trained generator"]
        for path in (
            tmp_path / "run" / "scores-digits-features-step60.json",
            tmp_path / "run" / "scores.json",
        )
    )
    assert set(after) < set(before)
    assert all(before[name] == value for name, value in after.items())


def test_every_evaluation_leaves_pictures_of_the_same_latents(trained, command):
    files = {f"{name}_{step}.png" for name in PICTURES for step in (30, 60)}
    assert {path.name for path in (trained / "pictures").iterdir()} == files
    events = b"".join(path.read_bytes() for path in (trained / "tensorboard").iterdir())
    assert all(f"pictures/{name}".encode() in events for name in PICTURES)
    experiment = opened(command())
    state = evaluate.newest_state(experiment, trained)
    latents = experiment.method.latents(picture_key(0), 64)
    mean, spread = (np.asarray(state.params["generator"][x]) for x in ("mean", "spread"))
    named = np.asarray(latents["class"])
    images = mean[named] + spread[named] * np.asarray(latents["noise"])
    wanted = np.clip(np.round(127.5 * (images + 1)), 0, 255)
    samples = read(trained / "pictures" / "samples_60.png").astype(np.float64)
    cells = [samples[y : y + 8, x : x + 8] for y in range(0, 72, 9) for x in range(0, 72, 9)]
    assert np.max(np.abs(np.array(cells) - wanted[..., 0])) <= 1  # Rounding at a half.
    assert not np.array_equal(samples, read(trained / "pictures" / "samples_30.png"))


def test_equal_states_give_bit_equal_pictures(trained, command):
    pictures = []
    for _ in range(2):
        experiment = opened(command())
        state = evaluate.newest_state(experiment, trained)
        pictures.append(Pictures().score(Run(experiment), state).pictures)
    assert set(pictures[0]) == set(PICTURES)
    for name in PICTURES:
        assert np.array_equal(pictures[0][name], pictures[1][name])
        written = read(trained / "pictures" / f"{name}_60.png")
        assert np.array_equal(pictures[0][name][..., 0], written)


def test_neighbors_are_the_nearest_training_images_in_pixels(trained, command):
    experiment = opened(command(evals__generator__extractor=""))
    state = evaluate.newest_state(experiment, trained)
    picture = Pictures().score(Run(experiment), state).pictures["neighbors"]
    training = experiment.load(experiment.source)["image"].astype(np.int64)
    for row in range(8):
        cells = [
            picture[9 * row : 9 * row + 8, x : x + 8].astype(np.int64) for x in range(0, 72, 9)
        ]
        distances = np.sort(np.sum((training - cells[0][None]) ** 2, axis=(1, 2, 3)))[:7]
        assert [np.sum((cell - cells[0]) ** 2) for cell in cells[1:]] == distances.tolist()


def test_interpolations_begin_and_end_at_samples_and_are_straight(trained):
    samples = read(trained / "pictures" / "samples_60.png")
    walks = read(trained / "pictures" / "interpolations_60.png")
    for row in range(8):
        cell = slice(9 * row, 9 * row + 8)
        assert np.array_equal(walks[cell, :8], samples[:8, cell])
    ends = {"noise": jnp.array([[0.0, 2.0], [4.0, 4.0]]), "class": jnp.array([3, 5])}
    starts = {"noise": jnp.array([[1.0, 0.0], [0.0, 8.0]]), "class": jnp.array([1, 2])}
    walk = interpolate(starts, ends, 3)
    assert walk["noise"].tolist() == [[1, 0], [0.5, 1], [0, 2], [0, 8], [2, 6], [4, 4]]
    assert walk["class"].tolist() == [1, 1, 1, 2, 2, 2]


def test_sampled_files_are_the_generators_images_and_the_same_again(trained, command):
    sample = command("--mode=sample", samples__count=12)
    assert main.main(sample) == 0
    files = sorted((trained / "samples").iterdir())
    numbers = [f"sample_60_{number:02d}.png" for number in range(12)]
    assert [file.name for file in files] == ["grid_60.png", *numbers]
    experiment = opened(command())
    state = evaluate.newest_state(experiment, trained)
    wanted = np.asarray(make_sampler(experiment.method, experiment.mesh)(state, picture_key(0), 12))
    assert np.array_equal([read(file) for file in files[1:]], wanted[..., 0])
    assert read(files[0]).shape == (3 * 9 - 1, 4 * 9 - 1)
    before = [file.read_bytes() for file in files]
    assert main.main(sample) == 0
    assert [file.read_bytes() for file in files] == before
    assert main.main([*sample, "--config.seed=1"]) == 0
    assert [file.read_bytes() for file in files] != before


def test_a_sample_does_not_depend_on_how_it_is_laid_out_on_the_devices(trained, command):
    experiment = opened(command())
    state = evaluate.newest_state(experiment, trained)
    sample = make_sampler(experiment.method, experiment.mesh)
    split, whole = (np.asarray(sample(state, jax.random.key(0), count)) for count in (16, 17))
    # Eight devices divide sixteen images and not seventeen; the method draws rows in order.
    assert np.array_equal(split, whole[:16])


def test_sampling_without_a_checkpoint_or_a_generator_is_told(command, tmp_path, capsys):
    assert "There is no checkpoint" in told(
        command("--mode=sample", f"--workdir={tmp_path / 'none'}"), capsys
    )
    simclr = runs.arguments(tmp_path / "simclr")
    assert "simclr generates no images" in told([*simclr, "--mode=sample"], capsys)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"evals__generator__extractor": ""}, "name in config.evals.generator.extractor"),
        ({"evals__generator__extractor": "/none"}, "extractor='/none' is neither"),
        ({"evals__generator__count": 5}, "config.evals.generator.count is 5"),
        ({"evals__final": "('inception_score',)"}, "simclr-digits-step5 has none"),
        ({"evals__generator__split": "dev"}, "dev"),
        ({"evals__generator__cache": "/proc/none"}, "/proc/none cannot be made"),
        ({"data__image_size": 12}, "trained on images of 8x8x1"),
    ],
)
def test_what_a_score_lacks_is_told_before_training(command, tmp_path, capsys, changes, wanted):
    assert wanted in told(command(f"--workdir={tmp_path / 'run'}", **changes), capsys)
    assert not list((tmp_path / "run").glob("checkpoints/[0-9]*"))


def test_the_best_checkpoint_may_be_chosen_by_what_a_generator_has_more_of(command):
    of = "simclr-digits-step5_n300_digits-test-397_none"
    asked = {"evals__precision_recall__every": 30, "checkpoint__every": 10}
    good = opened(command(**asked, checkpoint__best=f"recall_{of}"))
    evaluate.Evaluator(good).check()
    with pytest.raises(UserError, match=f"there are precision_{of}, recall_{of}."):
        evaluate.Evaluator(opened(command(**asked, checkpoint__best="recall"))).check()


def test_a_method_that_does_not_generate_has_no_such_score(tmp_path, capsys):
    asked = runs.arguments(tmp_path / "run", evals__final="('fid',)")
    assert "The method simclr generates no images that could be scored" in told(asked, capsys)


def test_an_unlabelled_set_has_pictures_and_scores_but_no_classes(command, tmp_path):
    (tmp_path / "images").mkdir()
    experiment = opened(command())
    images = experiment.load(experiment.source)["image"][:80]
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / "images" / f"{number:03d}.png"), image)
    options = {
        "data__name": "folder", "data__dir": tmp_path / "images", "data__cache": "none",
        "evals__test_split": "train", "evals__generator__split": "train", "steps": 2,
        "evals__final": "('fid',)", "evals__fid__every": 0, "evals__pictures__every": 1,
        "evals__generator__cache": tmp_path / "cache", "evals__generator__count": 32,
    }  # fmt: skip
    assert main.main(command(f"--workdir={tmp_path / 'run'}", **options)) == 0
    table = json.loads((tmp_path / "run" / "scores.json").read_text())["scores"]
    assert set(table) == {"held-out reals", "random generator", "trained generator"}
    assert [name.split("_")[0] for name in table["trained generator"]] == ["fid"]
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert (tmp_path / "run" / "pictures" / "samples_1.png").exists()
