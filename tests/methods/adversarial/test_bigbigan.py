"""BigBiGAN: a hinge for each score, stochastic codes, an encoder with a rate of its own."""

import dataclasses
import functools

import gans
import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import methods, optimizers
from ssljax.augment import ViewPolicy
from ssljax.methods.adversarial.bigbigan import BigBiGAN


def config(**changes):
    """The method on images of 16 pixels for the encoder and of 8 for the others."""
    method = methods.default_config("bigbigan")
    view = ViewPolicy(gans.SIDE, crop_scale=None, flip_p=0.0, mean=(0.5,), std=(0.5,))
    method.update(latent_dim=4, head_dim=8, image_size=8, ema_decay=0.5, encoder_rate=1.0)
    method.view = ConfigDict(dataclasses.asdict(view))
    method.update(changes)
    model = methods.default_model("bigbigan")
    model.encoder.update(name="small", widths=(4, 6))
    model.generator.width = model.discriminator.width = 1 / 96
    with model.unlocked():
        model.discriminator.update(units=6 * 96, blocks=1)
    settings = optimizers.Settings(
        name="sgd", learning_rate=gans.RATE, schedule="constant", momentum=0.0
    )
    return ConfigDict({"method": method, "model": model, "optimizer": dataclasses.asdict(settings)})


@pytest.fixture(scope="module")
def method():
    return BigBiGAN(config(), gans.TASK)


@pytest.fixture(scope="module")
def states(method):
    """Before and after each of two steps."""
    return gans.run(method, 2)[0]


@functools.partial(gans.jit, static_argnums=0)
def outputs(method, state, pair):
    weights = method.networks.weights(state, "discriminator")
    return method.networks.run("discriminator", weights, pair)[0]["scores"]


def scores(method, state, pair):
    return np.asarray(outputs(method, state, pair), np.float64)


@functools.partial(gans.jit, static_argnums=(0, 3))
def pairs_of(method, state, views, update_spectral=False):
    weights = {role: method.networks.weights(state, role) for role in ("generator", "encoder")}
    pairs = method.pairs(weights, views, gans.KEY, update_spectral=update_spectral)
    return {field.name: getattr(pairs, field.name) for field in dataclasses.fields(pairs)}


def test_the_losses_are_hinges_of_each_score_and_their_sum(method, states):
    state, views = states[1], gans.views(method)
    pairs = pairs_of(method, state, views)
    loss, aux = gans.loss(method, "discriminator", state, views)
    # The vectors of this update, which both of its passes have.
    updated = state.replace(variables=state.variables | {"discriminator": aux.variables})
    real, fake = (scores(method, updated, pair) for pair in (pairs["real"], pairs["fake"]))
    assert real.shape == (gans.BATCH, 3)
    expected = sum(
        np.maximum(0, 1 - real[:, i]).mean() + np.maximum(0, 1 + fake[:, i]).mean()
        for i in range(3)
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for place, name in enumerate(("image", "code", "both")):
        right = (real[:, place] > 0).mean(), (fake[:, place] < 0).mean()
        found = aux.metrics[f"{name}_accuracy_real"], aux.metrics[f"{name}_accuracy_fake"]
        np.testing.assert_allclose(found, right, atol=1e-6)

    pairs = pairs_of(method, state, views, True)
    real, fake = (scores(method, state, pair) for pair in (pairs["real"], pairs["fake"]))
    loss, _ = gans.loss(method, "generator", state, views)
    np.testing.assert_allclose(loss, real.sum(axis=1).mean() - fake.sum(axis=1).mean(), rtol=1e-4)


def test_a_code_is_drawn_about_its_mean_for_each_image_alone(method, states):
    views = gans.views(method)
    outputs, _ = method.networks.run(
        "encoder", method.networks.weights(states[1], "encoder"), views["seen"]
    )
    codes = [
        np.asarray(method.sample_codes(outputs, views, jax.random.key(seed))) for seed in range(300)
    ]
    mean, deviation = (np.asarray(outputs[name]) for name in ("code", "deviation"))
    noise = (np.stack(codes) - mean) / deviation
    np.testing.assert_allclose(noise.mean(), 0, atol=0.05)
    np.testing.assert_allclose(noise.std(), 1, atol=0.05)
    rows = np.corrcoef(noise.swapaxes(0, 1).reshape(gans.BATCH, -1))
    assert np.abs(rows - np.eye(gans.BATCH)).max() < 0.15


def test_averages_of_encoder_and_generator_are_evaluated(method, states):
    params, variables = method.trained_weights(states[2])
    evaluated = {"encoder": params, "generator": states[2].memory["generator"]["params"]}
    for role, kept in evaluated.items():
        first, second, third = (state.params["generator"][role] for state in states)
        average = jax.tree.map(
            lambda a, b, c: 0.25 * np.float64(a) + 0.25 * np.float64(b) + 0.5 * np.float64(c),
            *(first, second, third),
        )
        for found, expected in zip(jax.tree.leaves(kept), jax.tree.leaves(average), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    images = gans.batch(3)["images"]["image"][:, 0]
    found = gans.features(method, states[2], images)
    assert {"stage1", "features", "crelu", "code", "deviation"} <= set(found)
    encode = gans.jit(lambda x: method.networks.by_role["encoder"].apply(x, seen, False))
    seen = images.astype(np.float32) / 127.5 - 1
    expected = encode({"params": params, **variables})
    np.testing.assert_allclose(found["crelu"], expected["crelu"], rtol=1e-3, atol=1e-4)
    made = gans.jit(method.reconstruct)(states[2], images)
    assert made.shape == (gans.BATCH, 8, 8, 1)
    expected = gans.generate(method, states[2], {"noise": found["code"]})
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def test_the_discriminator_moves_twice_and_the_encoder_at_its_own_rate(method):
    assert [(player.name, player.updates) for player in method.players] == [
        ("discriminator", 2),
        ("generator", 1),
    ]
    with pytest.raises(ValueError, match=r"encoder_rate is 0\.0; .* must be above 0"):
        BigBiGAN(config(encoder_rate=0.0), gans.TASK)
    faster = BigBiGAN(config(encoder_rate=10.0), gans.TASK)
    params = {"generator": {"a": np.ones(2, np.float32)}, "encoder": {"b": np.ones(3, np.float32)}}
    moves = []
    for kind in (method, faster):
        tx = kind.players[1].tx
        moves.append(tx.update(params, tx.init(params), params, step=0)[0])
    np.testing.assert_allclose(moves[1]["generator"]["a"], moves[0]["generator"]["a"])
    np.testing.assert_allclose(moves[1]["encoder"]["b"], 10 * moves[0]["encoder"]["b"], rtol=1e-6)


def test_the_vectors_of_the_generators_norms_move_in_its_own_updates_alone(method, states):
    state, views = states[1], gans.views(method)
    _, aux = gans.loss(method, "generator", state, views)
    before = state.variables["generator"]["generator"]["spectral"]
    after = aux.variables["generator"]["spectral"]
    assert all(
        np.any(a != b)
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
        if a.size > 1
    )
    held = pairs_of(method, state, views)["variables"]["generator"]["spectral"]
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(held), strict=True):
        np.testing.assert_array_equal(a, b)
