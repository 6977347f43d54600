"""Generators of smaller images than those of the data: real images are reduced before they compare.

The digits have 16 pixels here, and the generator's images are squares of 8.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import data, metrics
from ssljax.config import base_config
from ssljax.evals import Run, generation, generative
from ssljax.evals.generation import Fid
from ssljax.evals.pictures import Pictures
from ssljax.run.experiment import Experiment

TRAIN, TEST, COUNT = "train[:60]", "test[:40]", 60
WEIGHTS = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32) / 400


@pytest.fixture
def run(monkeypatch, tmp_path):
    config = base_config("bigan")
    config.data.update(name="digits", split=TRAIN, image_size=16, channels=1)
    config.batch_size = 32
    config.evals.update(train_split=TRAIN, test_split=TEST, batch_size=16)
    config.evals.generator.update(split=TEST, count=COUNT, extractor="tiny", cache=str(tmp_path))
    config.method.image_size = 8
    config.method.view.size = 16
    config.model.encoder.widths = (4,)
    config.model.generator.width = config.model.discriminator.width = 1 / 256
    extractor = generative.Extractor("tiny", jax.jit(features), "none", "digest")
    monkeypatch.setattr(generation, "open_extractor", lambda run, shape=None: extractor)
    return Run(Experiment(config))


def features(images):
    """Those of images of 8 pixels alone."""
    flat = images.reshape(images.shape[0], 64).astype(jnp.float32)
    return jnp.matmul(flat, WEIGHTS, precision="highest")


def reduced(run, split):
    """Means of four pixels, in bytes but not rounded."""
    images = np.float64(run.experiment.load(data.open_source("digits", split))["image"])
    return images.reshape(-1, 8, 2, 8, 2).mean(axis=(2, 4))


def test_distances_are_of_reduced_images(run):
    (name,) = Fid().check(run)
    held_out, real = (reduced(run, split).reshape(-1, 64) @ WEIGHTS for split in (TRAIN, TEST))
    distance = metrics.frechet_distance(
        real.mean(0), np.cov(real, rowvar=False), held_out.mean(0), np.cov(held_out, rowvar=False)
    )
    found = Fid().score(run, None).values
    # Bytes are rounded.
    assert found[name] == pytest.approx(distance, rel=0.02)
    drawn = Fid().score(Run(run.experiment), run.experiment.init()).values
    assert drawn[name] > 2 * distance


@pytest.mark.parametrize("extractor", ["", "tiny"])
def test_pictures_show_samples_beside_reduced_images(run, extractor):
    run.config.generator.extractor = extractor
    assert Pictures().check(run) == ()
    pictures = Pictures().score(run, run.experiment.init()).pictures
    assert pictures["samples"].shape == (8 * 9 - 1, 8 * 9 - 1, 1)
    row = np.float64(pictures["neighbors"][:8, :, 0])
    sample, nearest = row[:, :8], row[:, 9:17]
    images = reduced(run, TRAIN)
    flat, query = images.reshape(len(images), 64), sample.reshape(1, 64)
    if extractor:
        flat, query = flat @ WEIGHTS, query @ WEIGHTS
    first = np.argmin(np.square(flat - query).sum(axis=1))
    assert np.abs(nearest - images[first]).max() <= 0.5
