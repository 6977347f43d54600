"""EBGAN: energies in float64, the margin, and a pulling-away term that is the generator's alone."""

import gans
import numpy as np
import pytest

from ssljax.methods.adversarial.ebgan import EBGAN


def build(**changes):
    return gans.build(EBGAN, discriminator={"width": 0.06}, **changes)


@pytest.fixture(scope="module")
def method():
    return build()


@pytest.fixture(scope="module")
def state(method):
    return gans.start(method)


@pytest.fixture(scope="module")
def views(method):
    return gans.views(method)


def energies(method, state, images):
    outputs = gans.discriminate(method, state, images)
    error = np.asarray(outputs["reconstruction"], np.float64) - np.asarray(images, np.float64)
    return np.linalg.norm(error.reshape(len(images), -1), axis=1)


def test_the_discriminator_lifts_generated_images_to_the_margin(method, state, views):
    fake = gans.sample_fakes(method, state, views, gans.KEY)
    real_energy, fake_energy = (energies(method, state, x) for x in (views["image"], fake))
    middle = float(np.median(fake_energy))
    for margin in (10.0, middle):
        loss, aux = gans.loss(build(margin=margin), "discriminator", state, views)
        expected = real_energy.mean() + np.maximum(0, margin - fake_energy).mean()
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["energy_real"], real_energy.mean(), rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["energy_fake"], fake_energy.mean(), rtol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_the_pulling_away_term_is_in_the_generators_loss_alone(method, state, views, weight, unit):
    fake = gans.sample_fakes(method, state, views, gans.KEY)
    rows = unit(gans.discriminate(method, state, fake)["code"])
    squares = (rows @ rows.T) ** 2
    similarity = (squares.sum() - np.trace(squares)) / (gans.BATCH * (gans.BATCH - 1))
    other = build(pulling_away=weight)
    loss, _ = gans.loss(other, "generator", state, views)
    expected = energies(method, state, fake).mean() + weight * similarity
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    plain, _ = gans.loss(method, "discriminator", state, views)
    found, _ = gans.loss(other, "discriminator", state, views)
    np.testing.assert_array_equal(found, plain)


def test_features_are_the_encoders(method, state):
    found = gans.features(method, state, gans.batch(0)["images"]["image"][:, 0])
    assert set(found) == {"block1", "block2", "code", "features"}


def test_defaults_are_the_papers():
    config = EBGAN.default_config()
    assert (config.margin, config.pulling_away, config.latent_dim) == (10.0, 0.0, 100)
