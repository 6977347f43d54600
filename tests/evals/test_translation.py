"""Scores of translations: against NumPy for known translators, and by the command line."""

import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
import unpaired

from ssljax import data, main, methods, metrics
from ssljax.config import base_config
from ssljax.errors import UserError
from ssljax.evals import Run, domains, gallery, generation, generative
from ssljax.evals.translation import Translation
from ssljax.methods.contract import Feed
from ssljax.run.experiment import Experiment

THERE, BACK = "photos_to_paintings", "paintings_to_photos"
HALVES = {"photos": "[:50%]", "paintings": "[50%:]"}
WEIGHTS = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32) / 400


@pytest.fixture(autouse=True, scope="module")
def listed():
    with unpaired.listed():
        yield


def opened(rule="inverted", **evals):
    """A run on the two halves of the digits, of which a rule changes the second."""
    config = base_config("toy")
    config.data.update(name="digits", split="train[:50%]", image_size=8, channels=1)
    config.method.paintings.update(split="train[50%:]", rule=rule)
    config.evals.update(batch_size=64)
    for group, keys in evals.items():
        config.evals[group].update(keys)
    return Run(Experiment(config))


@pytest.fixture(scope="module")
def run():
    return opened()


def state_of(run, there, back):
    """A state whose generators multiply images in [-1, 1] by these numbers."""
    generators = {"paintings": there * jnp.eye(64), "photos": back * jnp.eye(64)}
    state = run.experiment.init()
    return state.replace(params=state.params | {"generators": generators})


def digits(run, split, rule=None):
    """The images of a part of the digits, in [-1, 1] as float64."""
    source = data.open_source("digits", split)
    pixels = run.experiment.load(source)["image"]
    return (255.0 - pixels if rule else pixels.astype(np.float64)) / 127.5 - 1, source


def to_bytes(images):
    return np.clip(np.round(127.5 * (images + 1)), 0, 255)


@pytest.mark.parametrize("factors", [(0.5, 0.75), None])
def test_errors_are_those_that_numpy_finds(run, factors):
    state = None if factors is None else state_of(run, *factors)
    there, back = factors or (1.0, 1.0)
    found = Translation().score(run, state).values
    for way, split, first, second, rule in (
        (THERE, "test[:50%]", there, back, None),
        (BACK, "test[50%:]", back, there, "inverted"),
    ):
        images, _ = digits(run, split, rule)
        made = first * images
        cycle = second * (to_bytes(made) / 127.5 - 1)
        wanted = -images  # The negative, either way.
        assert found[f"{way}/cycle_error"] == pytest.approx(
            np.mean(np.abs(cycle - images)), abs=1e-6
        )
        error = np.abs(made - wanted)
        assert found[f"{way}/pairing_error"] == pytest.approx(error.mean(), rel=1e-5)
        # A value that is 0.1 away but for rounding may count or not.
        near = found[f"{way}/pairing_within_0.1"]
        assert np.mean(error < 0.0999) - 1e-6 <= near <= np.mean(error < 0.1001) + 1e-6


def test_the_right_translator_has_no_pairing_error_and_keeps_classes(run):
    found = Translation().score(run, state_of(run, -1.0, -1.0)).values
    bank, known = digits(run, "train[50%:]", "inverted")
    images, asked = digits(run, "test[:50%]", "inverted")
    flat = [to_bytes(x).reshape(len(x), -1).astype(np.float32) for x in (bank, images)]
    labels = [data.read_labels(source) for source in (known, asked)]
    wanted = metrics.knn_accuracy(flat[0], labels[0], flat[1], labels[1], 10, 20, 0.07)
    assert found[f"{THERE}/pairing_error"] < 1e-6
    assert found[f"{THERE}/pairing_within_0.1"] == 1
    assert found[f"{THERE}/class_accuracy"] == pytest.approx(wanted, abs=0.01)
    assert wanted > 0.8
    assert found[f"{THERE}/classes_hit"] == 10
    assert found[f"{THERE}/class_kl"] < 0.05


def test_a_translator_that_makes_one_image_of_all_hits_one_class(run):
    found = Translation().score(run, state_of(run, 0.0, 1.0)).values
    _, asked = digits(run, "test[:50%]")
    shares = np.bincount(data.read_labels(asked)) / len(asked)
    assert found[f"{THERE}/classes_hit"] == 1
    assert np.min(np.abs(shares - found[f"{THERE}/class_accuracy"])) < 1e-6
    assert found[f"{THERE}/class_kl"] > 2  # ln 10, if each class is as frequent.
    assert found[f"{BACK}/classes_hit"] > 5


def features(images):
    flat = images.reshape(images.shape[0], -1).astype(jnp.float32)
    return jnp.matmul(flat, WEIGHTS[: flat.shape[1]], precision="highest")


def test_distances_are_those_of_the_extractors_features(tmp_path, monkeypatch):
    extractor = generative.Extractor("tiny", jax.jit(features), "none", "digest")
    monkeypatch.setattr(generation, "open_extractor", lambda run, shape: extractor)
    run = opened(generator={"extractor": "tiny", "cache": str(tmp_path)})
    names = Translation().check(run)
    found = Translation().score(run, state_of(run, 0.5, 1.0)).values
    assert set(names) == {name for name in found if not name.endswith("_std")}
    images, _ = digits(run, "test[:50%]")
    others, _ = digits(run, "test[50%:]", "inverted")
    made = to_bytes(0.5 * images)
    fake, real = (
        x.reshape(len(x), -1).astype(np.float64) @ WEIGHTS for x in (made, to_bytes(others))
    )
    distance = metrics.frechet_distance(
        real.mean(0), np.cov(real, rowvar=False), fake.mean(0), np.cov(fake, rowvar=False)
    )
    name = next(x for x in found if x.startswith(f"{THERE}/fid_tiny_n{len(fake)}_digits-inverted"))
    assert found[name] == pytest.approx(distance, rel=1e-3)
    kernel, _ = metrics.kernel_distance(
        fake.astype(np.float32), real.astype(np.float32), 100, min(len(fake), len(real))
    )
    (kid,) = (x for x in names if x.startswith(f"{THERE}/kid_tiny"))
    assert found[kid] == pytest.approx(kernel, rel=1e-3, abs=1e-5)
    # Features of both domains are kept.
    assert len(list(tmp_path.glob("*.npz"))) == 2


class Halves(unpaired.CycleGAN):
    """What is left in an image is translated; what is right would be right."""

    @classmethod
    def feeds(cls, config):
        return {"pairs": Feed()}

    def translations(self):
        return ("left to right",)

    def halves(self, images):
        return images[:, :, :4], images[:, :, 4:]

    def translate(self, state, images, way):
        return 0.5 * (images.astype(jnp.float32) / 127.5 - 1)


def test_pairs_are_the_right_translations_of_each_other(monkeypatch, tmp_path):
    monkeypatch.setitem(methods.REGISTRY, "toy", Halves)
    extractor = generative.Extractor("tiny", jax.jit(features), "none", "digest")
    asked = []
    monkeypatch.setattr(
        generation, "open_extractor", lambda run, shape: asked.append(shape) or extractor
    )
    run = opened(generator={"extractor": "tiny", "cache": str(tmp_path)})
    found = Translation().score(run, run.experiment.init())
    images, _ = digits(run, "test[:50%]")
    error = np.abs(0.5 * images[:, :, :4] - images[:, :, 4:])
    assert found.values["left_to_right/pairing_error"] == pytest.approx(error.mean(), rel=1e-5)
    assert asked == [(8, 4, 1)]
    assert not any("cycle" in name for name in found.values)
    assert found.pictures["translation_left_to_right"].shape == (8 * 9 - 1, 2 * 5 - 1, 1)
    assert set(Translation().check(run)) <= set(found.values)


@pytest.mark.parametrize("way", ["A to B", "B to A"])
def test_what_a_rule_makes_of_one_half_is_named_after_it(way):
    config = base_config("pix2pix")
    config.data.update(name="digits", image_size=8, channels=1)
    config.method.update(rule="inverted", direction=way)
    config.method.view.update(size=8, crop_scale=None)
    config.model.discriminator.layers = 1
    source, target, are_paired = domains.between(Run(Experiment(config)), way)
    assert are_paired
    assert {way[0]: source.dataset, way[-1]: target.dataset} == {
        "A": "digits",
        "B": "digits-inverted",
    }


def test_unlike_domains_have_neither_pairs_nor_classes(tmp_path):
    images = unpaired.paint(tmp_path / "images")
    config = main.parse(unpaired.arguments(tmp_path, images)).config
    config.method.paintings.rule = "inverted"
    config.method.paintings.update(name="digits", split="train")
    run = Run(Experiment(config))
    assert Translation().check(run) == (f"{BACK}/cycle_error", f"{THERE}/cycle_error")
    photos, paintings, _ = domains.between(run, "photos to paintings")
    assert (photos.split, len(photos.test)) == ("testA", 20)
    assert (paintings.dataset, paintings.split) == ("digits-inverted", "test")


def test_what_cannot_be_scored_is_told_before_training(tmp_path):
    config = base_config("simclr")
    config.data.update(name="digits", image_size=8, channels=1)
    config.method.view.size = 8
    config.model.encoder.update(name="small", widths=(4,))
    with pytest.raises(UserError, match='simclr translates no images: take "translation" out'):
        Translation().check(Run(Experiment(config)))
    images = unpaired.paint(tmp_path / "images", {"trainA": 9, "trainB": 9, "testA": 9})
    config = main.parse(unpaired.arguments(tmp_path, images)).config
    told = (
        r"Of testB, which stands for trainB, as config\.evals\.translation\.test_b is empty and "
        "may name another split: .*has no split 'testB'"
    )
    with pytest.raises(UserError, match=told):
        Translation().check(Run(Experiment(config)))
    config.evals.translation.test_b = "testC"
    told = r"Of testC, which config\.evals\.translation\.test_b names: .*has no split 'testC'"
    with pytest.raises(UserError, match=told):
        Translation().check(Run(Experiment(config)))


@pytest.mark.parametrize(
    ("trained", "scored"),
    [("train[:50%]", "test[:50%]"), ("train[:25%]+train[25%:50%]", "test[:25%]+test[25%:50%]")],
)
def test_images_of_the_training_set_are_not_scored(trained, scored):
    """Every part of a split has its name changed."""
    config = opened().experiment.config
    config.data.split = trained
    photos = domains.between(Run(Experiment(config)), "photos to paintings").source
    assert photos.split == scored
    config.data.split, told = "test", "photos is trained on the split 'test', .*: name that in"
    with pytest.raises(UserError, match=rf"{told} config\.evals\.translation\.test_a"):
        Translation().check(Run(Experiment(config)))
    config.evals.translation.test_a = "train[:9]"
    photos = domains.between(Run(Experiment(config)), "photos to paintings").source
    assert photos.split == "train[:9]"


def test_without_a_label_in_the_test_set_there_are_no_scores_of_classes(monkeypatch):
    plain = gallery.drawn

    def unlabelled(run, source, most):
        return plain(run, data.FewLabels(source, np.array([], int)), most)

    monkeypatch.setattr(gallery, "drawn", unlabelled)
    run = opened()
    names = Translation().check(run)
    assert f"{THERE}/cycle_error" in names
    assert not any("class" in name for name in names)
    assert set(Translation().score(run, state_of(run, 0.5, 1.0)).values) == set(names)


def test_a_run_ends_with_scores_and_pictures_of_its_translations(tmp_path):
    images = unpaired.paint(tmp_path / "images")
    command = unpaired.arguments(
        tmp_path, images, steps=2, evals__final="('translation',)", evals__batch_size=16
    )
    assert main.main(command) == 0
    table = json.loads((tmp_path / "run" / "scores.json").read_text())["scores"]
    assert list(table) == ["identity", "random translator", "trained translator"]
    assert table["identity"] == {f"{BACK}/cycle_error": 0.0, f"{THERE}/cycle_error": 0.0}
    random, trained = (table[f"{kind} translator"] for kind in ("random", "trained"))
    assert 0 < random[f"{THERE}/cycle_error"] != trained[f"{THERE}/cycle_error"]
    assert f"| {THERE}/cycle_error |" in (tmp_path / "run" / "scores.md").read_text()
    picture = cv2.imread(
        str(tmp_path / "run" / "pictures" / f"translation_{THERE}_2.png"), cv2.IMREAD_UNCHANGED
    )
    # Eight rows of an image, its translation and its cycle.
    assert picture.shape == (8 * 9 - 1, 3 * 9 - 1)
    source = data.open_source("folder", "testA", images)
    first = cv2.imdecode(np.frombuffer(source.read(0)["image"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(picture[:8, :8], first)
    state = runs.final_state(command, tmp_path / "run")
    weights = [x for x in state if x.shape == (64, 64)]
    made = [to_bytes((first.reshape(-1) / 127.5 - 1) @ w).reshape(8, 8) for w in weights]
    assert any(np.max(np.abs(picture[:8, 9:17] - each)) <= 1 for each in made)
