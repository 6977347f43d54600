"""Reconstructions against NumPy: errors, the classes that they show, and what chance has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import unpaired

from ssljax import data
from ssljax.config import base_config
from ssljax.errors import UserError
from ssljax.evals import Run, features, generation, generative
from ssljax.evals.reconstruction import Reconstruction
from ssljax.methods.adversarial.bigan import BiGAN
from ssljax.run.experiment import Experiment

NEIGHBORS, TEMPERATURE, CLASSES = 5, 0.1, 10


def bigan():
    config = base_config("bigan")
    config.data.update(name="digits", image_size=8, channels=1)
    config.evals.update(train_split="train[:60]", test_split="test[:20]", batch_size=16)
    config.evals.reconstruction.update(neighbors=NEIGHBORS, temperature=TEMPERATURE)
    config.method.view.size = 8
    config.model.encoder.widths = (4,)
    config.model.generator.width = config.model.discriminator.width = 1 / 256
    return config


def read(run, split):
    """Images in float64 bytes, and labels."""
    source = run.open(split).source
    found = run.experiment.load(data.Subset(source, np.arange(len(source))))
    labels = data.read_labels(source, None)
    return np.asarray(found["image"], np.float64), np.asarray(labels)


def votes(train, labels, test):
    """The class of each row by the weighted vote of its nearest, one by one."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (train, test)]
    said = []
    for row in unit[1] @ unit[0].T:
        nearest = np.argsort(-row, kind="stable")[:NEIGHBORS]
        total = np.zeros(CLASSES)
        for place in nearest:
            total[labels[place]] += np.exp(row[place] / TEMPERATURE)
        said.append(total.argmax())
    return np.array(said)


def blurred(images):
    """Images in [-1, 1], of which each shows some of the one above it in its place."""
    return 0.6 * images + 0.4 * jnp.roll(images, 2, axis=1)


def test_scores_are_those_of_numpy_and_the_rest_of_a_batch_is_not_counted(monkeypatch):
    monkeypatch.setattr(BiGAN, "reconstruct", lambda self, state, x: blurred(self.targets(x)))
    run = Run(Experiment(bigan()))
    evaluation = Reconstruction()
    names = evaluation.check(run)
    scores = evaluation.score(run, run.experiment.init())
    assert set(scores.values) == set(names)

    (train, train_labels), (test, labels) = (read(run, s) for s in ("train[:60]", "test[:20]"))
    truth = test / 127.5 - 1
    made = np.asarray(blurred(jnp.asarray(truth, jnp.float32)), np.float64)
    error = (made - truth) / 2
    squared = np.square(error).mean(axis=(1, 2, 3))
    assert scores.values["absolute_error"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert scores.values["squared_error"] == pytest.approx(squared.mean(), rel=1e-4)
    psnr = -10 * np.log10(squared).mean()
    assert scores.values["reconstruction_psnr"] == pytest.approx(psnr, rel=1e-4)
    seen = np.clip(np.round(127.5 * (made + 1)), 0, 255).reshape(len(made), -1)
    said = votes(train.reshape(len(train), -1), train_labels, seen)
    agreement = (said == labels).mean()
    assert 0.1 < agreement < 1
    assert scores.values["class_agreement"] == pytest.approx(agreement)

    picture = scores.pictures["reconstruction"]
    assert picture.shape == (5 * 9 - 1, 8 * 9 - 1, 1)  # Four pairs in a row, of twenty.
    np.testing.assert_array_equal(picture[:8, :8], test[0])
    np.testing.assert_array_equal(picture[:8, 9:17].reshape(-1), seen[0])


def test_an_extractor_compares_reduced_images_by_its_features(monkeypatch):
    weights = np.random.default_rng(1).normal(size=(16, 8)).astype(np.float32)

    def seen(images):
        assert images.shape[1:] == (4, 4, 1)
        return jnp.matmul(images.reshape(-1, 16).astype(jnp.float32), weights, precision="highest")

    extractor = generative.Extractor("tiny", jax.jit(seen), "none", "digest")
    monkeypatch.setattr(generation, "open_extractor", lambda run, shape=None: extractor)
    monkeypatch.setattr(BiGAN, "reconstruct", lambda self, state, x: 0.5 * self.targets(x) + 0.1)
    config = bigan()
    config.method.image_size = 4
    config.evals.generator.extractor = "tiny"
    run = Run(Experiment(config))
    assert "class_agreement" in Reconstruction().check(run)
    found = Reconstruction().score(run, run.experiment.init()).values

    def reduced(images):
        return images.reshape(-1, 4, 2, 4, 2, 1).mean(axis=(2, 4)) / 127.5 - 1

    def encoded(images):
        pixels = np.clip(np.round(127.5 * (np.float64(images) + 1)), 0, 255)
        return pixels.reshape(-1, 16) @ weights

    (train, train_labels), (test, labels) = (read(run, s) for s in ("train[:60]", "test[:20]"))
    made = 0.5 * reduced(test) + 0.1
    said = votes(encoded(reduced(train)), train_labels, encoded(made))
    # Of a vote that a rounded byte decides there may be one.
    assert found["class_agreement"] == pytest.approx((said == labels).mean(), abs=0.051)
    assert len(set(said)) > 2


def test_without_labels_the_errors_and_the_picture_stay(tmp_path):
    images = unpaired.paint(tmp_path / "images", {"train": 12, "test": 9})
    config = bigan()
    config.data.update(name="folder", dir=str(images), split="train")
    config.batch_size = 8
    config.evals.update(train_split="train", test_split="test")
    run = Run(Experiment(config))
    names = Reconstruction().check(run)
    assert names == ("absolute_error", "squared_error", "reconstruction_psnr")
    assert Reconstruction().score(run, None).values == {}
    found = Reconstruction().score(run, run.experiment.init())
    assert set(found.values) == set(names)
    assert 0 < found.values["absolute_error"] < 1
    assert found.pictures["reconstruction"].shape == (3 * 9 - 1, 8 * 9 - 1, 1)  # Nine pairs.


def test_a_bank_that_the_host_cannot_hold_is_told_before_training(monkeypatch):
    # 64 bytes of each of 80 images.
    monkeypatch.setattr(features.memory, "of_host", lambda: 64 * 80)
    Reconstruction().check(Run(Experiment(bigan())))
    monkeypatch.setattr(features.memory, "of_host", lambda: 64 * 80 - 1)
    with pytest.raises(UserError, match="64 bytes of features of each of 80 images"):
        Reconstruction().check(Run(Experiment(bigan())))


def test_chance_is_the_share_of_the_commonest_class():
    run = Run(Experiment(bigan()))
    _, labels = read(run, "test[:20]")
    expected = np.bincount(labels).max() / len(labels)
    assert Reconstruction().score(run, None).values == {"class_agreement": pytest.approx(expected)}


def test_what_cannot_be_scored_is_told_before_training():
    config = base_config("simclr")
    config.data.update(name="digits", image_size=8, channels=1)
    config.method.view.size = 8
    config.model.encoder.update(name="small", widths=(4,))
    with pytest.raises(UserError, match="'simclr' makes no reconstructions"):
        Reconstruction().check(Run(Experiment(config)))
    for wanted, known in ((0, "[0-9]+"), (100, 60)):
        config = bigan()
        config.evals.reconstruction.neighbors = wanted
        with pytest.raises(UserError, match=f"neighbors is {wanted}, and .* has {known} labelled"):
            Reconstruction().check(Run(Experiment(config)))
    assert {"pictures", "reconstruction"} <= set(bigan().evals.final)
    assert "reconstruction" not in base_config("dcgan").evals.final
