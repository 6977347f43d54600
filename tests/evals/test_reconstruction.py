"""Reconstructions against NumPy: errors, the classes that they show, and what chance has."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import data
from ssljax.config import base_config
from ssljax.errors import UserError
from ssljax.evals import Run
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
