"""What all adversarial methods keep to: order, isolation, separate statistics, averages, draws."""

import itertools

import gans
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sharded
from gans import BATCH, SIDE

from ssljax import augment, models
from ssljax.methods.adversarial.cgan import CGAN
from ssljax.methods.adversarial.dcgan import DCGAN
from ssljax.methods.adversarial.game import keys_beside
from ssljax.methods.adversarial.sngan import SNGAN
from ssljax.methods.contract import Task, Turn
from ssljax.models.layers.spectral_norm import power_iteration


@pytest.fixture(scope="module")
def plain():
    """DCGAN with two discriminator updates a step and an average, and its first three steps."""
    method = gans.build(DCGAN, discriminator_steps=2, ema_decay=0.5)
    return method, *gans.run(method, 3)


@pytest.fixture(scope="module")
def spectral():
    """SNGAN with one update a step, spectral norm in both networks, and its first two steps."""
    networks = {
        name: {"name": "dcgan", "width": 0.03, "spectral_norm": True} for name in gans.WIDTHS
    }
    method = gans.build(SNGAN, discriminator_steps=1, ema_decay=0.5, **networks)
    return method, *gans.run(method, 2)


def test_the_discriminator_moves_first_each_time_on_fresh_data_and_the_generator_meets_the_result(
    plain, close
):
    method, states, metrics = plain
    discriminator, generator = method.players
    assert [p.name for p in method.players] == ["discriminator", "generator"]
    assert (discriminator.updates, generator.updates) == (2, 1)
    state, images = states[0], gans.batch(0, 2)["images"]["image"]
    _, players_key = jax.random.split(jax.random.fold_in(state.key, state.step))

    @gans.jit
    def replay(state):
        by_hand = state
        for player, number, update in (
            (discriminator, 0, 0),
            (discriminator, 0, 1),
            (generator, 1, 0),
        ):
            key = jax.random.fold_in(jax.random.fold_in(players_key, number), update)
            views = {"image": images[:, update].astype(jnp.float32) / 127.5 - 1}
            params = by_hand.params[player.name]
            (loss, aux), grads = jax.value_and_grad(player.loss, has_aux=True)(
                params, Turn(by_hand, views, key)
            )
            params = jax.tree.map(lambda p, g: p - gans.RATE * g, params, grads)
            by_hand = by_hand.replace(
                params=by_hand.params | {player.name: params},
                variables=by_hand.variables | {player.name: aux.variables},
            )
        return by_hand, loss

    by_hand, loss = replay(state)
    close(states[1].params, by_hand.params)
    close(states[1].variables, by_hand.variables)
    np.testing.assert_allclose(metrics[0]["generator/loss"], loss, rtol=1e-5)


def test_real_and_generated_images_have_statistics_of_their_own(plain):
    method, states, _ = plain
    state, views = states[0], gans.views(method)
    fake = gans.sample_fakes(method, state, views, jax.random.split(gans.KEY)[0])

    def judged(images):
        return np.asarray(gans.discriminate(method, state, images)["logits"], np.float64)

    found, _ = gans.loss(method, "discriminator", state, views)
    real_logits, fake_logits = judged(views["image"]), judged(fake)
    apart = gans.softplus(-real_logits).mean() + gans.softplus(fake_logits).mean()
    np.testing.assert_allclose(found, apart, rtol=1e-5)
    both = judged(jnp.concatenate([views["image"], fake]))
    together = gans.softplus(-both[:BATCH]).mean() + gans.softplus(both[BATCH:]).mean()
    assert abs(together - apart) > 1e-3


def test_running_statistics_are_of_real_images_alone(plain, close):
    method, states, _ = plain
    state, views = states[0], gans.views(method)
    _, aux = gans.loss(method, "discriminator", state, views)
    # The first layer, which has no norm, by hand; then its mean over real images and places.
    outputs = gans.discriminate(method, state, views["image"])
    kernel = state.params["discriminator"]["conv2"]["kernel"]
    normed = jax.lax.conv_general_dilated(
        outputs["block1"],
        kernel,
        (2, 2),
        ((2, 2), (2, 2)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    mean = np.asarray(normed, np.float64).mean(axis=(0, 1, 2))
    found = aux.variables["batch_stats"]["norm2"]["batch"]["mean"]
    np.testing.assert_allclose(found, 0.1 * mean, rtol=1e-4, atol=1e-7)


def test_each_pass_leaves_the_other_network_alone(plain):
    method, states, _ = plain
    for name in ("discriminator", "generator"):
        _, aux = gans.loss(method, name, states[0], gans.views(method))
        assert jax.tree.structure(aux.variables) == jax.tree.structure(states[0].variables[name])
        moved = jax.tree.map(
            lambda a, b: bool(np.any(a != b)), aux.variables, states[0].variables[name]
        )
        assert all(jax.tree.leaves(moved))


def test_spectral_vectors_turn_once_in_an_update_and_not_in_the_other_players(spectral):
    _, states, _ = spectral
    for before, after in itertools.pairwise(states):
        for name in ("discriminator", "generator"):
            updated = after.variables[name]["spectral"]
            u = before.variables[name]["spectral"]
            kernels = before.params[name]
            layer = "conv2" if name == "discriminator" else "deconv1"
            once = power_iteration(kernels[layer]["kernel"], u[layer]["u"])
            np.testing.assert_allclose(updated[layer]["u"], once, rtol=1e-4, atol=1e-6)
            assert np.abs(updated[layer]["u"] - u[layer]["u"]).max() > 1e-4


def test_the_average_follows_weights_and_statistics(plain):
    _, states, _ = plain
    average = None
    for state in states:
        now = {"params": state.params["generator"], **state.variables["generator"]}
        now = jax.tree.map(lambda x: np.asarray(x, np.float64), now)
        average = average or now
        average = jax.tree.map(lambda old, new: 0.5 * old + 0.5 * new, average, now)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
            dict(state.memory["generator"]),
            average,
        )
    last = states[-1]
    assert np.any(last.memory["generator"]["params"]["dense"]["kernel"]
                  != last.params["generator"]["dense"]["kernel"])  # fmt: skip


def test_spectral_vectors_are_not_averaged(spectral):
    _, states, _ = spectral
    average, online = states[-1].memory["generator"], states[-1].variables["generator"]
    for a, b in zip(
        jax.tree.leaves(average["spectral"]), jax.tree.leaves(online["spectral"]), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_without_a_decay_the_average_is_the_generator_itself(plain, close):
    _, states, _ = plain
    method = gans.build(DCGAN)
    average = method.after_step(states[-1], {}).memory["generator"]
    now = {"params": states[-1].params["generator"], **states[-1].variables["generator"]}
    close(dict(average), now, rtol=0, atol=0)


def test_generate_uses_the_average_in_evaluation_mode(plain):
    method, states, _ = plain
    latents = method.latents(jax.random.key(3), 5)
    images = np.asarray(gans.generate(method, states[-1], latents))
    assert images.shape == (5, SIDE, SIDE, 1)
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1
    # In evaluation an image depends on its own latents alone.
    others = latents["noise"].at[:2].set(0.0)
    changed = gans.generate(method, states[-1], {"noise": others})
    np.testing.assert_allclose(changed[2:], images[2:], rtol=1e-4, atol=1e-6)
    other = states[-1].replace(params=jax.tree.map(jnp.zeros_like, states[-1].params))
    np.testing.assert_array_equal(gans.generate(method, other, latents), images)


@pytest.mark.parametrize(("prior", "low", "high", "std"), [
    ("normal", -6.0, 6.0, 1.0),
    ("uniform", -1.0, 1.0, 3**-0.5),
])  # fmt: skip
def test_latents_have_their_prior_and_rows_of_their_own(prior, low, high, std):
    method = gans.build(DCGAN, prior=prior, latent_dim=64)
    drawn = np.asarray(method.latents(jax.random.key(0), 256)["noise"], np.float64)
    assert drawn.shape == (256, 64)
    assert low <= drawn.min() < drawn.max() <= high
    assert abs(drawn.mean()) < 0.03
    assert abs(drawn.std() - std) < 0.03
    assert np.abs(np.corrcoef(drawn, rowvar=False) - np.eye(64)).max() < 0.35
    few = method.latents(jax.random.key(0), 4)["noise"]
    np.testing.assert_array_equal(few, drawn[:4].astype(np.float32))


def test_draws_in_training_do_not_depend_on_the_layout():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, 2, 2, 1)), jnp.float32)
    key = jax.random.key(5)
    expected = jax.random.key_data(augment.example_keys(key, 2 * BATCH))
    (split,) = sharded.on_eight_devices([images])
    for some in (images, split):
        keys = jax.jit(lambda images: keys_beside(key, images, each=2))(some)
        np.testing.assert_array_equal(jax.random.key_data(keys), expected)


def test_generated_images_lie_on_the_devices_of_the_real_ones(plain):
    method, states, _ = plain
    (image,) = sharded.on_eight_devices([gans.views(method)["image"]])
    fake = gans.sample_fakes(method, states[0], {"image": image}, gans.KEY)
    assert fake.sharding.shard_shape(fake.shape) == (BATCH // 8, SIDE, SIDE, 1)


def test_features_are_the_discriminators_layers_in_evaluation_mode(plain):
    method, states, _ = plain
    images = gans.batch(4)["images"]["image"][:, 0]
    found = gans.features(method, states[-1], images)
    assert set(found) == {"block1", "block2", "features"}
    params, variables = method.trained_weights(states[-1])
    assert params is states[-1].params["discriminator"]
    outputs = gans.jit(method.networks.by_role["discriminator"].apply, static_argnums=2)(
        {"params": params, **variables}, images.astype(jnp.float32) / 127.5 - 1, False
    )
    np.testing.assert_allclose(found["features"], outputs["features"], rtol=1e-4, atol=1e-6)
    others = gans.features(method, states[-1], images.at[:2].set(0))["features"]
    np.testing.assert_allclose(others[2:], found["features"][2:], rtol=1e-4, atol=1e-6)


def test_images_are_scaled_to_what_a_tanh_reaches():
    method = gans.build(DCGAN)
    image = jnp.asarray(np.array([0, 51, 255], np.uint8).reshape(1, 1, 3, 1))
    found = method.views(jax.random.key(0), {"images": {"image": image}})["image"]
    np.testing.assert_allclose(found.ravel(), [-1, -0.6, 1], atol=1e-6)


@pytest.mark.parametrize(("loss", "middle"), [
    ("non_saturating", 0.0), ("minimax", 0.0), ("hinge", 0.0), ("least_squares", 0.5)
])  # fmt: skip
def test_accuracies_count_logits_on_the_right_side(loss, middle):
    method = gans.build(DCGAN, loss=loss)
    real = jnp.asarray([0.1, 0.2, -0.1, 0.3]) + middle
    fake = jnp.asarray([0.1, -0.2]) + middle
    scores = method.scores(real, fake)
    assert float(scores["accuracy_real"]) == 0.75
    assert float(scores["accuracy_fake"]) == 0.5


def test_both_learning_rates_go_by_train_step():
    """Five updates a step must not run through the schedule five times as fast."""
    settings = {"learning_rate": 1.0, "warmup_steps": 2, "schedule": "cosine"}
    config = gans.config(DCGAN, discriminator_steps=5)
    config.optimizer.update(settings)
    for player in DCGAN(config, gans.TASK).players:
        params = {"w": jnp.zeros(())}
        opt_state = player.tx.init(params)
        for step in range(gans.TASK.total_steps):
            expected = step / 2 if step < 2 else (1 + np.cos(np.pi * (step - 2) / 6)) / 2
            for _ in range(player.updates):
                update, opt_state = player.tx.update(
                    {"w": jnp.ones(())}, opt_state, params, step=step
                )
                np.testing.assert_allclose(-update["w"], expected, atol=1e-6)
            np.testing.assert_allclose(player.schedule(jnp.asarray(step)), expected, atol=1e-6)


def test_the_generators_batch_can_be_larger():
    method = gans.build(DCGAN, generator_batch=2)
    state, views = gans.start(method), gans.views(method)
    fake = gans.sample_fakes(method, state, views, gans.KEY, 2)
    assert fake.shape == (2 * BATCH, SIDE, SIDE, 1)
    outputs = gans.discriminate(method, state, fake)
    found, _ = gans.loss(method, "generator", state, views)
    expected = gans.softplus(-np.asarray(outputs["logits"])).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("changes", "message"), [
    ({"loss": "saturating"}, "method.loss is 'saturating'; it must be one of minimax"),
    ({"prior": "gaussian"}, "method.prior is 'gaussian'; it must be one of normal"),
    ({"generator": {"norm": "instance"}}, "instance"),
])  # fmt: skip
def test_wrong_values_are_told(changes, message):
    with pytest.raises(ValueError, match=message):
        gans.start(gans.build(DCGAN, **changes))


def test_a_conditional_method_needs_labels():
    task = Task((SIDE, SIDE, 1), batch_size=BATCH, total_steps=8, steps_per_epoch=4)
    with pytest.raises(ValueError, match="labels"):
        gans.build(CGAN, task)


class Watched(DCGAN):
    """A third network that no player owns."""

    def more_networks(self):
        return {"watcher": self.watcher}

    watcher = models.build_discriminator("dcgan", width=0.03, norm="batch")


def test_a_network_that_no_player_owns_is_frozen_in_the_memory():
    method = gans.build(Watched)
    states, _ = gans.run(method, 1)
    assert set(states[1].params) == {"discriminator", "generator"}
    for state in states:
        params, collections = method.networks.weights(state, "watcher")
        assert set(collections) == {"batch_stats"}
        again, _ = method.networks.weights(states[0], "watcher")
        jax.tree.map(np.testing.assert_array_equal, params, again)
    # It is another network than the discriminator of the same form.
    own, _ = method.networks.weights(states[0], "discriminator")
    assert jax.tree.structure(own) == jax.tree.structure(params)
    assert not all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(params), strict=True)
    )
