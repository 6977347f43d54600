"""ProGAN: its schedule, what fades, its losses, and where the optimizers start afresh."""

import dataclasses
import re

import gans
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from sharded import collective_sizes, on_eight_devices

from ssljax import optimizers
from ssljax.methods.adversarial.progan import ProGAN, Stage, growth
from ssljax.methods.contract import Task, phase_at
from ssljax.ops.resampling import box_down, nearest_up
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.step import init_state, make_step

SIDE, BATCH, LATENT = 16, 8, 4
TASK = Task((SIDE, SIDE, 1), batch_size=BATCH, total_steps=20, steps_per_epoch=4)
NETWORK = {"fmap_base": 32, "fmap_max": 6}
# Steps of 8 images: 2 at 4 px, 4 while 8 px fade in, 2 at 8 px, 4 while 16 px do, then the rest.
LENGTHS = {"stable_kimg": 0.016, "fade_kimg": 0.032}
STARTS = (0, 2, 6, 8, 12)


def config(name="sgd", **changes):
    """The method's default config with few channels and steps."""
    method = ProGAN.default_config()
    method.update(latent_dim=LATENT, fade_every=1, **LENGTHS)
    method.update(changes)
    model = {role: dict(kind.options) | NETWORK for role, kind in ProGAN.roles.items()}
    settings = optimizers.Settings(
        name=name, learning_rate=0.01, schedule="constant", momentum=0.0, b1=0.0, b2=0.99
    )
    return ConfigDict({"method": method, "model": model, "optimizer": dataclasses.asdict(settings)})


def build(phase=0, task=TASK, name="sgd", **changes):
    return ProGAN(config(name, **changes), dataclasses.replace(task, phase=phase))


def batch(seed, updates=1):
    images = np.random.default_rng(seed).integers(0, 256, (BATCH, updates, SIDE, SIDE, 1))
    return {"images": {"image": jnp.asarray(images, jnp.uint8)}}


class Run:
    """The phases of a tiny run, each compiled when it is first met."""

    def __init__(self, **changes):
        self.changes, self.steps = changes, {}
        self.first = build(**changes)

    def start(self):
        return gans.start(self.first)

    def advance(self, state, last):
        """As the train loop does it."""
        while int(state.step) < last:
            phase, start = phase_at(self.first.phases, int(state.step))
            if phase not in self.steps:
                method = build(phase, **self.changes)
                self.steps[phase] = method, gans.jit(make_step(method))
            method, step = self.steps[phase]
            if int(state.step) == start:
                state = method.enter_phase(state)
            state, self.metrics = step(state, batch(int(state.step)))
        return state


@pytest.fixture(scope="module")
def adam():
    """A run and its states after up to 7 steps: the first size, a fade, and one step beyond it."""
    run = Run(name="adam", ema_decay=0.5)
    states = {0: run.start()}
    for step in range(1, 8):
        states[step] = run.advance(states[step - 1], step)
    return run, states


@pytest.fixture(scope="module")
def fading():
    """The method while 8 px fade in, and a state in the middle of that: a weight of 1/4."""
    method = build(1)
    state = gans.start(method)
    return method, state.replace(step=jnp.int32(3))


def numbers(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def test_each_size_has_a_phase_and_before_it_one_in_which_it_fades_in():
    method = build()
    assert [phase.name for phase in method.phases] == [
        "4 px", "8 px, fading in", "8 px", "16 px, fading in", "16 px",
    ]  # fmt: skip
    assert [phase_at(method.phases, step)[0] for step in range(14)] == [
        0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4,
    ]  # fmt: skip
    assert tuple(stage.start for stage in growth(SIDE, 2, 4)) == STARTS
    assert [build(phase).stage.size for phase in range(5)] == [4, 8, 8, 16, 16]


def test_lengths_are_counted_in_real_images():
    """600,000 images at 16 a step; 32 with two updates a step, or two batches an update."""
    task = dataclasses.replace(TASK, batch_size=16, total_steps=10**6)
    lengths = {"stable_kimg": 600.0, "fade_kimg": 300.0}
    assert [phase.steps for phase in build(task=task, **lengths).phases[:3]] == [
        37500, 18750, 37500,
    ]  # fmt: skip
    twice = build(task=task, discriminator_steps=2, **lengths)
    assert [phase.steps for phase in twice.phases[:3]] == [18750, 9375, 18750]
    both = config(**lengths)
    both.optimizer.accumulate = 2
    assert ProGAN(both, task).phases[0].steps == 18750


def test_without_lengths_the_images_have_their_size_from_the_start():
    assert growth(16, 0, 0) == [Stage(16, False, 0, 0)]
    assert growth(8, 0, 3) == [Stage(8, True, 0, 3), Stage(8, False, 3, 0)]
    assert [stage.size for stage in growth(16, 5, 0)] == [4, 8, 16]
    method = build(stable_kimg=0.0, fade_kimg=0.0)
    assert (len(method.phases), method.stage.size, method.shrink) == (1, 16, 1)


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (1, [0, 0, 0.25, 0.5, 0.75, 1, 1]),
        (2, [0, 0, 0, 0.5, 0.5, 1, 1]),
        (4, [0, 0, 0, 0, 0, 1, 1]),
    ],
)
def test_the_weight_is_a_function_of_the_step(every, expected):
    """Of the phase that fades from step 2 to 6; it is asked for before and after too."""
    method = build(1, fade_every=every)
    found = jax.jit(jax.vmap(method.weight))(jnp.arange(1, 8))
    np.testing.assert_allclose(found, expected)
    assert float(build(2).weight(jnp.int32(6))) == 1.0


def test_real_images_are_means_of_squares_and_fade_as_generated_ones_do(fading):
    method, state = fading
    images = np.asarray(batch(0)["images"]["image"][:, 0], np.float64) / 127.5 - 1
    seen = method.views(gans.KEY, jax.tree.map(lambda x: x[:, 0], batch(0)))["image"]
    squares = images.reshape(BATCH, 8, 2, 8, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(seen, squares, atol=1e-5)
    coarse = squares.reshape(BATCH, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    expected = 0.25 * squares + 0.75 * coarse.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(method._faded(seen, state.step), expected, atol=1e-5)


def test_half_of_the_real_images_are_mirrored_if_asked_for():
    taken = jax.tree.map(lambda x: x[:, 0], batch(0))
    plain = build(4).views(gans.KEY, taken)["image"]
    found = build(4, flip=True).views(gans.KEY, taken)["image"]
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(found, plain, strict=True)])
    same = np.array([np.array_equal(a, b) for a, b in zip(found, plain, strict=True)])
    assert np.all(mirrored ^ same)
    assert 0 < mirrored.sum() < BATCH


@pytest.mark.parametrize("target", [1.0, 750.0])
def test_the_loss_is_that_of_full_size_images(fading, target):
    """All of it by hand, from scores of images that the discriminator itself makes small."""
    _, state = fading
    method = build(1, penalty_target=target, drift_weight=0.5)
    fake_key, penalty_key = jax.random.split(gans.KEY)
    views = method.views(gans.KEY, jax.tree.map(lambda x: x[:, 0], batch(0)))
    fade = {"fade": {"weight": jnp.float32(0.25)}}
    judge = state.params["discriminator"]
    fake, _, _ = method.sample_fakes(state.params["generator"], fade, views, fake_key)
    real, fake = (nearest_up(x, 2) for x in (method._faded(views["image"], state.step), fake))

    def scores(full):
        return method.discriminate(judge, fade, box_down(full, 2))[0]["logits"]

    place = jax.random.uniform(penalty_key, (BATCH, 1, 1, 1))
    slopes = jax.grad(lambda x: jnp.sum(scores(x)))(real + place * (fake - real))
    norms = np.sqrt(np.square(np.asarray(slopes, np.float64)).sum(axis=(1, 2, 3)))
    of_real, of_fake = (np.asarray(scores(x), np.float64) for x in (real, fake))
    penalty = 10 * np.mean((norms - target) ** 2) / target**2
    drift = np.mean(of_real**2)
    loss, aux = gans.loss(method, "discriminator", state, views)
    np.testing.assert_allclose(aux.metrics["gradient_penalty"], penalty, rtol=1e-4)
    np.testing.assert_allclose(aux.metrics["drift"], drift, rtol=1e-4)
    np.testing.assert_allclose(
        loss, of_fake.mean() - of_real.mean() + 0.5 * drift + penalty, rtol=1e-4
    )
    assert (float(aux.metrics["fade"]), aux.variables) == (0.25, {})
    loss, aux = gans.loss(method, "generator", state, views)
    frozen = method.sample_fakes(state.params["generator"], fade, views, gans.KEY)[0]
    np.testing.assert_allclose(loss, -np.mean(scores(nearest_up(frozen, 2))), rtol=1e-4)
    assert aux.variables == {}


def test_the_optimizers_start_afresh_with_every_phase(adam):
    _, states = adam
    for player in ("discriminator", "generator"):
        counts = [int(states[step].opt_state[player][1].count) for step in range(1, 8)]
        assert counts == [1, 2, 1, 2, 3, 4, 1]
    # One step after the fade the squares are of that step alone: 1 - 0.99 of its gradient's.
    moments = states[7].opt_state["generator"][1]
    for square, first in zip(numbers(moments.nu), numbers(moments.mu), strict=True):
        np.testing.assert_allclose(square, 0.01 * first**2, rtol=1e-4, atol=1e-12)


def test_a_phase_leaves_the_parameters_the_average_and_other_players_alone(adam):
    _, states = adam
    state = states[6]
    state = state.replace(opt_state=state.opt_state | {"probe": jnp.ones(3)})
    entered = build(2, name="adam").enter_phase(state)
    np.testing.assert_array_equal(entered.opt_state["probe"], 1)
    for part in ("params", "memory", "variables"):
        for a, b in zip(
            numbers(getattr(entered, part)), numbers(getattr(state, part)), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    assert jax.tree.structure(entered) == jax.tree.structure(state)


def test_layers_that_are_not_in_use_yet_do_not_move(adam):
    _, states = adam
    for player in ("discriminator", "generator"):
        start, small, faded = (states[step].params[player] for step in (0, 2, 6))
        for name in start:
            pairs = zip(numbers(start[name]), numbers(small[name]), strict=True)
            assert any(np.any(a != b) for a, b in pairs) == (
                name in ("conv4", "dense", "logit", "bias", "to_rgb4", "from_rgb4")
            )
            pairs = zip(numbers(start[name]), numbers(faded[name]), strict=True)
            assert any(np.any(a != b) for a, b in pairs) == ("16" not in name)


def test_the_average_moves_with_each_update_of_the_discriminator(adam):
    _, states = adam
    average = numbers(states[0].params["generator"])
    for step in range(1, 8):
        now = numbers(states[step].params["generator"])
        average = [0.5 * old + 0.5 * new for old, new in zip(average, now, strict=True)]
    found = states[7].memory["generator"]
    assert set(found) == {"params"}
    for a, b in zip(numbers(found), average, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert build(ema_decay=0.9, discriminator_steps=3).averages == {
        "generator": pytest.approx(0.729)
    }


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_stopped_before_in_or_after_a_fade_it_ends_bit_for_bit_the_same(adam, stop, tmp_path):
    run, states = adam
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(stop, states[stop])
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore(jax.eval_shape(lambda: states[stop]))
    checkpoints.close()
    final = run.advance(restored, 7)
    assert jax.tree.structure(final) == jax.tree.structure(states[7])
    plain = [x.replace(key=jax.random.key_data(x.key)) for x in (final, states[7])]
    for a, b in zip(*map(numbers, plain), strict=True):
        np.testing.assert_array_equal(a, b)


def test_eight_devices_learn_in_a_fade_what_one_learns_and_no_images_travel(fading):
    method, state = fading
    step = gans.jit(make_step(method))
    # Two images a device: of one each, half of a batch would lie on half of the devices.
    both = np.concatenate([batch(seed)["images"]["image"] for seed in (0, 1)])
    alone, expected = step(state, {"images": {"image": jnp.asarray(both)}})
    (images,) = on_eight_devices([jnp.asarray(both)])
    program = step.lower(state, {"images": {"image": images}}).compile()
    assert collective_sizes(program.as_text())
    moves = r"all-gather|all-to-all|reduce-scatter|collective-(permute|broadcast)"
    assert not re.search(moves, program.as_text())
    together, found = program(state, {"images": {"image": images}})
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-3, abs=1e-5), name
    for a, b in zip(numbers(together.params), numbers(alone.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_the_step_of_a_fade_exports_for_accelerators_that_are_not_here(fading):
    method, state = fading
    exported = jax.export.export(jax.jit(make_step(method)), platforms=("tpu", "cuda"))
    assert exported(state, batch(0)).platforms == ("tpu", "cuda")


@pytest.mark.parametrize(("phase", "done"), [(0, 1), (1, 4), (2, 8), (3, 11), (4, 13)])
def test_it_draws_and_reads_full_size_images_in_every_phase(phase, done):
    method = build(phase)
    state = gans.start(method).replace(step=jnp.int32(done))
    latents = method.latents(jax.random.key(3), 4)
    images = np.asarray(gans.generate(method, state, latents))
    assert images.shape == (4, SIDE, SIDE, 1)
    assert np.abs(images).max() <= 1
    size = method.stage.size
    squares = images.reshape(4, size, SIDE // size, size, SIDE // size, 1)
    assert np.array_equal(squares, np.broadcast_to(squares[:, :, :1, :, :1], squares.shape))
    found = gans.features(method, state, batch(0)["images"]["image"][:, 0])
    assert found["features"].shape == (BATCH, 6)
    assert {"block1"} <= set(found) <= {"block1", "block2", "block3", "features"}


def test_in_a_fade_it_draws_the_mixture_of_its_last_step(fading):
    method, state = fading
    state = state.replace(step=jnp.int32(5))  # The step before had 1/2.
    latents = method.latents(jax.random.key(3), 4)
    small = gans.generate(build(0), state, latents)
    large = gans.generate(build(2), state, latents)
    inside = (np.abs(small) < 1) & (np.abs(large) < 1)
    assert inside.mean() > 0.3
    mixed = np.asarray(gans.generate(method, state, latents))
    np.testing.assert_allclose(mixed[inside], ((small + large) / 2)[inside], atol=1e-5)


def test_the_learning_rate_goes_by_the_size():
    rates = ((8, 1.5), (16, 3.0))
    found = [build(phase, rates=rates).players[1].schedule(0) for phase in range(5)]
    np.testing.assert_allclose(found, [0.01, 0.015, 0.015, 0.03, 0.03], rtol=1e-6)


@pytest.mark.parametrize(
    ("task", "changes", "told"),
    [
        ({"image_shape": (28, 28, 1)}, {}, "never 28: set config.data.image_size=32"),
        ({"total_steps": 12}, {}, "have 16 pixels after 12 steps, and the run has 12"),
        ({}, {"rates": (8, 1.5)}, r"method.rates is \(8, 1.5\); it must be pairs"),
    ],
)
def test_what_cannot_be_is_told(task, changes, told):
    with pytest.raises(ValueError, match=told):
        build(task=dataclasses.replace(TASK, **task), **changes)


def test_a_batch_that_groups_do_not_fill_is_told():
    method = build(task=dataclasses.replace(TASK, batch_size=6))
    taken = jax.tree.map(lambda x: x[:6], batch(0))
    with pytest.raises(ValueError, match=r"make config\.batch_size a multiple of 4"):
        jax.eval_shape(make_step(method), gans.start(method), taken)


def test_the_state_has_one_form_in_all_phases():
    def form(method):
        return str(jax.eval_shape(lambda: init_state(method, jax.random.key(0))))

    assert len({form(build(phase)) for phase in range(5)}) == 1


def test_defaults_are_the_authors():
    found = ProGAN.default_config()
    assert (found.stable_kimg, found.fade_kimg, found.fade_every) == (600, 600, 4)
    assert (found.penalty_weight, found.penalty_target, found.drift_weight) == (10, 1, 1e-3)
    assert (found.latent_dim, found.ema_decay, found.discriminator_steps) == (512, 0.999, 1)
