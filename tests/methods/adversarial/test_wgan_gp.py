"""WGAN-GP: the penalty is for each image alone, at one random place between real and generated."""

import gans
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.adversarial.wgan_gp import WGANGP
from ssljax.methods.contract import Turn

NETWORKS = {
    "generator": {"name": "dcgan", "width": 0.03},
    "discriminator": {"name": "dcgan", "width": 0.03, "norm": "layer"},
}


@pytest.fixture(scope="module")
def method():
    return gans.build(WGANGP, **NETWORKS)


@pytest.fixture(scope="module")
def state(method):
    return gans.start(method)


def test_the_penalty_is_ten_times_the_mean_squared_distance_of_the_slopes_from_one(method, state):
    views = gans.views(method)
    fake_key, penalty_key = jax.random.split(gans.KEY)
    real, fake = views["image"], gans.sample_fakes(method, state, views, fake_key)
    place = jax.random.uniform(penalty_key, (gans.BATCH, 1, 1, 1))
    between = real + place * (fake - real)

    critic = state.params["discriminator"], state.variables["discriminator"]

    def score(image):
        return method.discriminate(*critic, image[None])[0]["logits"][0]

    slopes = np.asarray(gans.jit(jax.vmap(jax.grad(score)))(between), np.float64)
    slopes = slopes.reshape(gans.BATCH, -1)
    expected = 10 * np.mean((np.linalg.norm(slopes, axis=1) - 1) ** 2)
    loss, aux = gans.loss(method, "discriminator", state, views)
    np.testing.assert_allclose(aux.metrics["gradient_penalty"], expected, rtol=1e-4)
    np.testing.assert_allclose(loss, expected - aux.metrics["wasserstein"], rtol=1e-4)


def test_a_score_depends_on_its_own_image_alone(method, state):
    images = gans.views(method)["image"]
    before = gans.discriminate(method, state, images)["logits"]
    after = gans.discriminate(method, state, images.at[1:].set(0.5))["logits"]
    np.testing.assert_allclose(after[0], before[0], rtol=1e-4, atol=1e-6)
    assert np.abs(after[1:] - before[1:]).min() > 1e-4


def test_batch_norm_in_the_critic_is_told():
    with pytest.raises(ValueError, match="choose 'none' or 'layer'"):
        gans.build(WGANGP, discriminator={"name": "dcgan", "norm": "batch"})


def test_the_penalty_is_differentiated_through_the_slopes(method, state):
    """Its change along its own gradient is that gradient's length."""
    views, player = gans.views(method), method.players[0]

    def penalty(params):
        _, aux = player.loss(params, Turn(state, views, gans.KEY))
        return aux.metrics["gradient_penalty"]

    value_and_grad = gans.jit(jax.value_and_grad(penalty))
    params, h = state.params["discriminator"], 1e-5
    _, grads = value_and_grad(params)
    length = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grads)))
    unit = jax.tree.map(lambda g: h * g / length, grads)
    ahead, _ = value_and_grad(jax.tree.map(jnp.add, params, unit))
    behind, _ = value_and_grad(jax.tree.map(jnp.subtract, params, unit))
    np.testing.assert_allclose((ahead - behind) / (2 * h), length, rtol=0.05)


def test_defaults_are_the_papers():
    config = WGANGP.default_config()
    assert (config.penalty_weight, config.discriminator_steps, config.latent_dim) == (10, 5, 128)
    assert WGANGP.roles["discriminator"].options["norm"] == "none"
