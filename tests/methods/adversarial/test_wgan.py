"""WGAN: weights are clipped before each critic step, and the generator waits for the critic."""

import dataclasses

import gans
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.adversarial import wgan
from ssljax.methods.adversarial.wgan import WGAN
from ssljax.methods.contract import Turn
from ssljax.run.step import make_step


def generator_steps(train_steps, critic_steps=5):
    """Train steps in which the generator moves, by the loop of the authors' code."""
    moves, done, generator_updates = [], 0, 0
    while done < train_steps:
        long = generator_updates < 25 or generator_updates % 500 == 0
        done += (100 if long else critic_steps) // critic_steps
        moves.append(done - 1)
        generator_updates += 1
    return [step for step in moves if step < train_steps]


def test_the_generator_moves_when_it_does_in_the_authors_loop():
    method = gans.build(WGAN)
    critic, generator = method.players
    assert critic.active is None
    assert critic.updates == 5
    moves = np.flatnonzero(np.asarray(jax.vmap(generator.active)(jnp.arange(2200))))
    expected = generator_steps(2200)
    assert expected[:3] == [19, 39, 59]
    assert expected[24:27] == [499, 500, 501]
    assert moves.tolist() == expected


def test_resting_it_does_not_change(monkeypatch):
    monkeypatch.setattr(wgan, "LONG", 2)
    config = gans.config(WGAN, discriminator_steps=1)
    config.optimizer.schedule = "cosine"
    method = WGAN(config, gans.TASK)
    states, metrics = gans.run(method, 4)
    kernels = [np.asarray(s.params["generator"]["dense"]["kernel"]) for s in states]
    np.testing.assert_array_equal(kernels[1], kernels[0])
    assert metrics[0]["generator/loss"] == 0
    assert np.any(kernels[2] != kernels[1])
    # Both learn at the rate of the train step, whatever the number of their updates.
    for number, scalars in enumerate(metrics):
        rate = gans.RATE * (1 + np.cos(np.pi * number / gans.TASK.total_steps)) / 2
        for player in ("discriminator", "generator") if number % 2 else ("discriminator",):
            assert float(scalars[f"{player}/learning_rate"]) == pytest.approx(rate, rel=1e-5)
            used = scalars[f"{player}/update_norm"] / scalars[f"{player}/grad_norm"]
            assert float(used) == pytest.approx(rate, rel=1e-4)


def test_weights_are_clipped_before_the_step_and_not_after_it(close):
    method = gans.build(WGAN, discriminator_steps=1)
    critic, generator = method.players
    method.players = (critic, dataclasses.replace(generator, active=lambda step: step < 0))
    start, after = gans.run(method, 1)[0]
    critic = start.params["discriminator"]
    clipped = jax.tree.map(lambda x: np.clip(x, -0.01, 0.01), critic)
    assert max(np.abs(x).max() for x in jax.tree.leaves(critic)) == 1.0  # The norms' scales.
    _, players_key = jax.random.split(jax.random.fold_in(start.key, 0))
    key = jax.random.fold_in(jax.random.fold_in(players_key, 0), 0)
    player, views = method.players[0], gans.views(method)
    grads, _ = gans.jit(jax.grad(
        lambda params: player.loss(params, Turn(start, views, key)), has_aux=True
    ))(clipped)  # fmt: skip
    expected = jax.tree.map(lambda p, g: p - gans.RATE * g, clipped, grads)
    close(after.params["discriminator"], expected)
    assert any(np.any(np.abs(x) > 0.01) for x in jax.tree.leaves(after.params["discriminator"]))


def test_updates_of_two_batches_take_each_image_once_and_the_generator_rests(monkeypatch, close):
    """Two updates of the critic, on batches 0 and 1 and on 2 and 3; the generator's on 0 and 1."""
    monkeypatch.setattr(wgan, "LONG", 4)  # It moves in every second step.
    monkeypatch.setattr("ssljax.run.step.has_fast_control_flow", lambda: True)
    config = gans.config(WGAN, discriminator_steps=2, ema_decay=0.5, clip=0.5)
    config.optimizer.update(accumulate=2, learning_rate=0.1)
    method = WGAN(config, gans.TASK)
    critic, generator = method.players
    step = gans.jit(make_step(method, accumulate=2))
    gradients = {
        player.name: gans.jit(jax.value_and_grad(player.loss, has_aux=True))
        for player in method.players
    }

    def move(player, state, images, numbers):
        _, key = jax.random.split(jax.random.fold_in(state.key, state.step))
        key = jax.random.fold_in(key, method.players.index(player))
        params = state.params[player.name]
        if player is critic:
            params = jax.tree.map(lambda x: jnp.clip(x, -0.5, 0.5), params)
        losses, grads = [], []
        for number in numbers:
            views = {"image": images[:, number].astype(jnp.float32) / 127.5 - 1}
            (loss, aux), gradient = gradients[player.name](
                params, Turn(state, views, jax.random.fold_in(key, number))
            )
            losses.append(float(loss))
            grads.append(gradient)
            state = state.replace(variables=state.variables | {player.name: aux.variables})
        params = jax.tree.map(lambda p, a, b: p - 0.1 * (a + b) / 2, params, *grads)
        return state.replace(params=state.params | {player.name: params}), np.mean(losses)

    state = by_hand = gans.start(method)
    average = state.memory["generator"]
    for number in (0, 1):
        batch = {"images": gans.batch(number, 4)["images"]}
        by_hand = by_hand.replace(step=jnp.int32(number))
        for numbers in ((0, 1), (2, 3)):
            by_hand, loss = move(critic, by_hand, batch["images"]["image"], numbers)
        state, metrics = step(state, batch)
        assert float(metrics["discriminator/loss"]) == pytest.approx(loss, rel=1e-4, abs=1e-6)
        if number == 0:
            assert not any(x for name, x in metrics.items() if name.startswith("generator/"))
        else:
            by_hand, loss = move(generator, by_hand, batch["images"]["image"], (0, 1))
            assert float(metrics["generator/loss"]) == pytest.approx(loss, rel=1e-4, abs=1e-6)
        close(state.params, by_hand.params, rtol=1e-4)
        close(state.variables, by_hand.variables, rtol=1e-4)
        now = {"params": by_hand.params["generator"], **by_hand.variables["generator"]}
        average = jax.tree.map(lambda old, new: (old + new) / 2, average, now)
        close(state.memory["generator"], average, rtol=1e-4)


def test_the_loss_and_the_estimate_are_mean_scores():
    method = gans.build(WGAN)
    state, views = gans.start(method), gans.views(method)
    fake = gans.sample_fakes(method, state, views, jax.random.split(gans.KEY)[0])
    real = np.asarray(gans.discriminate(method, state, views["image"])["logits"], np.float64).mean()
    false = np.asarray(gans.discriminate(method, state, fake)["logits"], np.float64).mean()
    loss, aux = gans.loss(method, "discriminator", state, views)
    np.testing.assert_allclose(loss, false - real, rtol=1e-4)
    np.testing.assert_allclose(aux.metrics["wasserstein"], real - false, rtol=1e-4)


def test_defaults_are_the_papers():
    method = WGAN.default_config()
    assert (method.clip, method.discriminator_steps) == (0.01, 5)


def test_a_clip_of_zero_is_told():
    method = gans.build(WGAN, clip=0.0)
    with pytest.raises(ValueError, match="limit is 0"):
        method.players[0].project({"w": jnp.ones(2)})
