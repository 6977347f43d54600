"""SSGAN: which images each loss sees, and that both players work on the rotations."""

import gans
import jax
import numpy as np
import pytest

from ssljax.methods.adversarial.ssgan import SSGAN
from ssljax.methods.contract import Turn

BATCH = gans.BATCH
NETWORKS = {
    "generator": {"name": "dcgan", "width": 0.03},
    "discriminator": {"name": "dcgan", "width": 0.03},
}


def build(**changes):
    return gans.build(SSGAN, **NETWORKS, **changes)


@pytest.fixture(scope="module")
def method():
    return build()


@pytest.fixture(scope="module")
def state(method):
    return gans.start(method)


@pytest.fixture(scope="module")
def views(method):
    return gans.views(method)


@pytest.fixture(scope="module")
def updated(method, state, views):
    """The state with the spectral vectors of the discriminator's update."""
    _, aux = gans.loss(method, "discriminator", state, views)
    own = state.variables["discriminator"] | aux.variables
    return state.replace(variables=state.variables | {"discriminator": own})


def hinge(real, fake):
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    return np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()


def rotation_loss(method, state, images):
    """Cross-entropy over every fourth image in each of its four orientations, one at a time."""
    losses = []
    for quarters in range(4):
        some = np.rot90(np.asarray(images)[::4], quarters, axes=(1, 2))
        whole = np.zeros_like(images)  # The batch of the compiled program.
        whole[: len(some)] = some
        guess = gans.discriminate(method, state, whole)["rotation"][: len(some)]
        losses.append(gans.cross_entropy(guess, [quarters] * len(some)))
    return np.mean(losses)


def fakes(method, state, views):
    """Those of the discriminator's update, and of the generator's."""
    keys = gans.KEY, gans.KEY
    return [np.asarray(gans.sample_fakes(method, state, views, key)) for key in keys]


def test_one_call_sees_all_images_upright_and_a_quarter_of_them_in_three_more_orientations(
    method, state, views, monkeypatch
):
    seen = []

    def discriminate(params, variables, images, labels=None, update_spectral=False):
        seen.append((images.shape[0], update_spectral))
        return SSGAN.discriminate(method, params, variables, images, labels, update_spectral)

    monkeypatch.setattr(method, "discriminate", discriminate)
    for player in method.players:
        jax.eval_shape(
            lambda params, player=player: player.loss(params, Turn(state, views, gans.KEY)),
            state.params[player.name],
        )
    # Real ones, generated ones; then, in the generator's update, generated ones alone.
    assert [count for count, _ in seen] == [BATCH + 3 * BATCH // 4] * 3
    assert [updated for _, updated in seen] == [True, False, False]


def test_the_discriminator_plays_on_upright_images_and_learns_rotations_of_real_ones(
    method, state, views, updated
):
    found, aux = gans.loss(method, "discriminator", state, views)
    fake, _ = fakes(method, state, views)
    game = hinge(
        gans.discriminate(method, updated, views["image"])["logits"],
        gans.discriminate(method, updated, fake)["logits"],
    )
    rotation = rotation_loss(method, updated, views["image"])
    np.testing.assert_allclose(aux.metrics["rotation_loss"], rotation, rtol=1e-5)
    np.testing.assert_allclose(found, game + rotation, rtol=1e-5)
    assert aux.carry["features"].shape[0] == BATCH


def test_the_generator_plays_on_upright_images_and_makes_ones_whose_rotation_is_told(
    method, state, views
):
    found, _ = gans.loss(method, "generator", state, views)
    _, fake = fakes(method, state, views)
    game = -np.asarray(gans.discriminate(method, state, fake)["logits"], np.float64).mean()
    rotation = rotation_loss(method, state, fake)
    np.testing.assert_allclose(found, game + 0.2 * rotation, rtol=1e-5)


def test_rotations_alone_leave_no_game(state, views, updated):
    """The discriminator then sees nothing of the generated images."""
    method = build(gan_weight=0.0)
    found, _ = gans.loss(method, "discriminator", state, views)
    rotation = rotation_loss(method, updated, views["image"])
    np.testing.assert_allclose(found, rotation, rtol=1e-5)
    other = jax.tree.map(lambda x: 1.1 * x, state.params["generator"])
    changed = state.replace(params=state.params | {"generator": other})
    again, _ = gans.loss(method, "discriminator", changed, views)
    np.testing.assert_allclose(again, found, rtol=1e-6)
    found, _ = gans.loss(method, "generator", state, views)
    _, fake = fakes(method, state, views)
    np.testing.assert_allclose(found, 0.2 * rotation_loss(method, state, fake), rtol=1e-5)


def test_the_rotation_head_has_spectral_norm(state):
    assert "rotation" in state.variables["discriminator"]["spectral"]["heads"]


def test_defaults_are_the_papers():
    config = SSGAN.default_config()
    assert (config.rotation_weight_real, config.rotation_weight_fake) == (1.0, 0.2)
    assert SSGAN.roles["generator"].options["norm"] == "self_modulated"
    assert SSGAN.roles["discriminator"].options["spectral_norm"]


def test_a_batch_that_is_no_multiple_of_four_is_told(method, state, views):
    with pytest.raises(ValueError, match="not a multiple of 4"):
        gans.loss(method, "discriminator", state, {"image": views["image"][:6]})
