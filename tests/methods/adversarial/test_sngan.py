"""SNGAN: the hinge loss, and layers of slope 1."""

import gans
import jax
import numpy as np
import pytest

from ssljax.methods.adversarial.sngan import SNGAN

NETWORKS = {
    "generator": {"name": "dcgan", "width": 0.03},
    "discriminator": {"name": "dcgan", "width": 0.03},
}


@pytest.fixture(scope="module")
def method():
    return gans.build(SNGAN, discriminator_steps=2, **NETWORKS)


def test_the_losses_are_hinges(method):
    state, views = gans.start(method), gans.views(method)
    loss, aux = gans.loss(method, "discriminator", state, views)
    # The vectors of this update, which both of its passes have.
    updated = state.replace(
        variables=state.variables
        | {"discriminator": state.variables["discriminator"] | aux.variables}
    )
    fake = gans.sample_fakes(method, state, views, jax.random.split(gans.KEY)[0])
    real_logits = np.asarray(
        gans.discriminate(method, updated, views["image"])["logits"], np.float64
    )
    fake_logits = np.asarray(gans.discriminate(method, updated, fake)["logits"], np.float64)
    expected = np.maximum(0, 1 - real_logits).mean() + np.maximum(0, 1 + fake_logits).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    loss, _ = gans.loss(method, "generator", state, views)
    fake = gans.sample_fakes(method, state, views, gans.KEY)
    expected = -np.asarray(gans.discriminate(method, state, fake)["logits"], np.float64).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_estimate_of_each_layers_norm_closes_in_on_it(method):
    """Power iteration while the weights move: it comes near their true norm."""
    states, _ = gans.run(method, 60)

    def shares(state):
        found = []
        for layer in ("conv1", "conv2"):
            kernel = np.asarray(state.params["discriminator"][layer]["kernel"], np.float64)
            matrix = kernel.reshape(-1, kernel.shape[-1])
            u = np.asarray(state.variables["discriminator"]["spectral"][layer]["u"], np.float64)
            np.testing.assert_allclose(np.linalg.norm(u), 1.0, rtol=1e-5)
            found.append(np.linalg.norm(matrix @ u) / np.linalg.norm(matrix, 2))
        return np.array(found)

    first, last = shares(states[0]), shares(states[-1])
    # The largest two singular values of the first layer lie close together: it is slow there.
    assert np.all(last > (0.8, 0.97))
    assert np.all(last > first)


def test_evaluation_leaves_the_vectors_as_they_are(method):
    state = gans.start(method)
    images = gans.batch(0)["images"]["image"][:, 0]
    twice = [gans.features(method, state, images)["features"] for _ in range(2)]
    np.testing.assert_array_equal(*twice)


def test_defaults_are_the_papers():
    config = SNGAN.default_config()
    assert (config.loss, config.discriminator_steps, config.generator_batch) == ("hinge", 5, 2)
    assert SNGAN.roles["discriminator"].options["spectral_norm"]
    assert not SNGAN.roles["generator"].options.get("spectral_norm", False)
