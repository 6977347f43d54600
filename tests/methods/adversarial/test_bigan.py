"""BiGAN: flipped labels, one pass for both players, and what evaluations read of the encoder."""

import dataclasses

import gans
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import methods, optimizers
from ssljax.augment import ViewPolicy
from ssljax.config import file as config_file
from ssljax.methods.adversarial.bigan import BiGAN
from ssljax.methods.contract import Turn
from ssljax.methods.protocols import Generator, Reconstructor
from ssljax.run.step import init_state

BATCH, SIDE, RATE = gans.BATCH, gans.SIDE, gans.RATE


def config(name="bigan", **changes):
    """The method on images of 16 pixels, with networks of a layer or two."""
    method = methods.default_config(name)
    view = ViewPolicy(SIDE, crop_scale=None, flip_p=0.0)
    method.update(latent_dim=4, view=ConfigDict(dataclasses.asdict(view)), image_size=0)
    model = methods.default_model(name)
    model.encoder.update(name="mlp", widths=(6, 5))
    model.generator.width = model.discriminator.width = 1 / 128
    method.update(changes)
    settings = optimizers.Settings(
        name="sgd", learning_rate=RATE, schedule="constant", momentum=0.0
    )
    return ConfigDict({"method": method, "model": model, "optimizer": dataclasses.asdict(settings)})


@pytest.fixture(scope="module")
def method():
    return BiGAN(config(), gans.TASK)


@pytest.fixture(scope="module")
def states(method):
    """Before and after each of two steps."""
    return gans.run(method, 2)[0]


def logits(method, state, pair):
    """In training mode, in float64."""
    params, variables = method.networks.weights(state, "discriminator")
    outputs, _ = method.networks.run("discriminator", (params, variables), pair)
    return np.asarray(outputs["logits"], np.float64)


def pairs(method, state, views, key):
    weights = {role: method.networks.weights(state, role) for role in ("generator", "encoder")}
    return method.pairs(weights, views, key)


def test_both_players_minimise_their_cross_entropies_on_the_same_pairs(method, states):
    state, views = states[1], gans.views(method)
    generator, discriminator = method.players
    made = pairs(method, state, views, gans.KEY)
    real, fake = (logits(method, state, pair) for pair in (made.real, made.fake))
    loss, aux = generator.loss(state.params["generator"], Turn(state, views, gans.KEY))
    # The labels are flipped: real pairs are called generated, and generated ones real.
    flipped = (gans.softplus(real).mean() + gans.softplus(-fake).mean()) / 2
    np.testing.assert_allclose(loss, flipped, rtol=1e-5)
    for name, pair in (("real", made.real), ("fake", made.fake)):
        for carried, expected in zip(aux.carry[name], pair, strict=True):
            np.testing.assert_allclose(carried, expected, rtol=1e-5, atol=1e-6)
    turn = Turn(state, views, jax.random.key(7), carried=aux.carry)
    loss, _ = discriminator.loss(state.params["discriminator"], turn)
    expected = (gans.softplus(-real).mean() + gans.softplus(fake).mean()) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_a_step_updates_all_networks_from_one_forward_pass(method, states, close):
    """Nobody sees what another has become in the same step."""
    state = states[1]
    batch = jax.tree.map(lambda x: x[:, 0], gans.batch(1))
    _, players = jax.random.split(jax.random.fold_in(state.key, state.step))
    key = jax.random.fold_in(jax.random.fold_in(players, 0), 0)
    views = method.views(jax.random.key(0), batch)

    @gans.jit
    def by_hand(state):
        def judged(params, sign):
            """Half the cross-entropies, with the labels flipped where the sign is -1."""
            weights = {
                role: (params["generator"][role], state.variables["generator"][role])
                for role in ("generator", "encoder")
            }
            made = method.pairs(weights, views, key)
            judge = params["discriminator"], state.variables["discriminator"]
            real, fake = (
                method.networks.run("discriminator", judge, pair)[0]["logits"]
                for pair in (made.real, made.fake)
            )
            return (
                jnp.mean(jax.nn.softplus(-sign * real)) + jnp.mean(jax.nn.softplus(sign * fake))
            ) / 2

        own = {"generator": -1.0, "discriminator": 1.0}
        slopes = {name: jax.grad(judged)(state.params, sign)[name] for name, sign in own.items()}
        return jax.tree.map(lambda p, g: p - RATE * g, state.params, slopes)

    close(states[2].params, by_hand(state))


def test_the_encoder_is_trained_and_normalised_on_real_images_alone(method, states):
    state, views = states[1], gans.views(method)
    seen = []
    run = method.networks.run

    def spy(role, weights, inputs, *args, **options):
        seen.append((role, inputs))
        return run(role, weights, inputs, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(method.networks), "run", lambda self, *args, **kw: spy(*args, **kw))
        method.generator_loss(state.params["generator"], Turn(state, views, gans.KEY))
    (given,) = [inputs for role, inputs in seen if role == "encoder"]
    np.testing.assert_array_equal(given, views["seen"])
    np.testing.assert_allclose(2 * views["seen"] - 1, views["image"], atol=1e-6)


def test_codes_are_uniform_and_both_players_move(method, states):
    drawn = np.asarray(method.latents(jax.random.key(0), 2000)["noise"])
    assert drawn.shape == (2000, 4)
    assert (drawn.min() >= -1, drawn.max() <= 1) == (True, True)
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [0, 1 / np.sqrt(3)], atol=0.03)
    for before, after in zip(
        jax.tree.leaves(states[1].params), jax.tree.leaves(states[2].params), strict=True
    ):
        assert np.any(before != after)


def test_a_reconstruction_is_the_generators_image_of_the_encoders_code(method, states):
    state, images = states[2], gans.batch(3)["images"]["image"][:, 0]
    assert isinstance(method, Generator)
    assert isinstance(method, Reconstructor)
    found = gans.features(method, state, images)
    params, variables = method.networks.weights(state, "encoder")
    expected = method.networks.by_role["encoder"].apply(
        {"params": params, **variables}, images.astype(jnp.float32) / 255, False
    )
    assert {"block1", "block2", "features", "linear", "code"} == set(found)
    np.testing.assert_allclose(found["code"], expected["code"], rtol=1e-4, atol=1e-6)
    made = method.reconstruct(state, images)
    np.testing.assert_allclose(
        made, method.generate(state, {"noise": found["code"]}), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        method.targets(images), np.asarray(images) / 127.5 - 1, rtol=1e-5, atol=1e-6
    )


def test_generator_and_judge_may_have_smaller_images_than_the_encoder():
    view = ViewPolicy(SIDE, crop_scale=None, flip_p=0.0, mean=(0.5,), std=(0.25,))
    method = BiGAN(config(image_size=8, view=ConfigDict(dataclasses.asdict(view))), gans.TASK)
    views = gans.views(method)
    images = np.asarray(gans.batch(0)["images"]["image"][:, 0], np.float64) / 255
    np.testing.assert_allclose(views["seen"], (images - 0.5) / 0.25, rtol=1e-4, atol=1e-5)
    reduced = images.reshape(BATCH, 8, 2, 8, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(views["image"], 2 * reduced - 1, rtol=1e-4, atol=1e-5)
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    raw = jax.ShapeDtypeStruct((BATCH, SIDE, SIDE, 1), np.uint8)
    made = jax.eval_shape(method.reconstruct, state, raw)
    assert made.shape == jax.eval_shape(method.targets, raw).shape == (BATCH, 8, 8, 1)
    with pytest.raises(ValueError, match="may be smaller, not larger"):
        BiGAN(config(image_size=32), gans.TASK)
    with pytest.raises(ValueError, match="image_size is -1; it must be 0, for the size of"):
        BiGAN(config(image_size=-1), gans.TASK)
    # A side that the generator's does not divide is resampled.
    method = BiGAN(config(image_size=12), gans.TASK)
    assert gans.views(method)["image"].shape == (BATCH, 12, 12, 1)


def test_another_run_may_start_from_the_encoder(method, states):
    tuning = config_file.load("finetune/cifar10:cpu")
    tuning.model.encoder = config().model.encoder
    tuning.method.from_layer = 0
    tuning.method.view.update(size=SIDE, mean=None, std=None)
    task = dataclasses.replace(gans.TASK, source=method)
    tuned = methods.REGISTRY["finetune"](tuning, task)
    fresh = init_state(tuned, jax.random.key(1))
    started = tuned.start_from(fresh, method, states[2])
    images = gans.batch(3)["images"]["image"][:, 0]
    np.testing.assert_allclose(
        tuned.features(started, images)["features"],
        gans.features(method, states[2], images)["features"],
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_players_updates_are_not_a_key():
    unused = {"discriminator_steps", "generator_batch", "ema_decay"}
    assert not unused & set(BiGAN.default_config())


def test_features_are_centred_before_the_code_where_the_config_says_so():
    assert not BiGAN.default_config().center_features
    centred = BiGAN(config(center_features=True), gans.TASK)
    assert centred.networks.by_role["encoder"].centered
