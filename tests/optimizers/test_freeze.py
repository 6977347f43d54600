"""Parameters that begin late, clipping one by one and scheduled decay, against float64 loops."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import optimizers
from ssljax.errors import UserError
from ssljax.optimizers.freeze import cosine_schedule

RUN = {"total_steps": 8, "steps_per_epoch": 4, "batch_size": 256}
LATE, RATE, DECAY = 3, 0.1, 0.05
RNG = np.random.default_rng(0)
SHAPES = {"encoder/kernel": (3, 2), "encoder/bias": (2,), "prototypes": (4, 2)}
START = {name: RNG.normal(size=shape) for name, shape in SHAPES.items()}
GRADS = [{name: RNG.normal(size=shape) for name, shape in SHAPES.items()} for _ in range(6)]


def nested(flat):
    arrays = {name: jnp.asarray(x, jnp.float32) for name, x in flat.items()}
    kernel, bias = arrays["encoder/kernel"], arrays["encoder/bias"]
    return {"encoder": {"kernel": kernel, "bias": bias}, "prototypes": arrays["prototypes"]}


def flat(tree):
    return {
        **{f"encoder/{k}": v for k, v in tree["encoder"].items()},
        "prototypes": tree["prototypes"],
    }


def settings(**values):
    given = {"name": "sgd", "learning_rate": RATE, "weight_decay": DECAY} | values
    return dataclasses.asdict(optimizers.Settings(**given))


def learn(optimizer, grads=GRADS):
    """The parameters after each update."""
    params = nested(START)
    state = optimizer.tx.init(params)
    update = jax.jit(optimizer.tx.update)
    path = []
    for step, gradient in enumerate(grads):
        updates, state = update(nested(gradient), state, params, step=step)
        params = jax.tree.map(jnp.add, params, updates)
        path.append({name: np.asarray(x) for name, x in flat(params).items()})
    return path


def cosine(start, end, step):
    return end + (start - end) * (1 + math.cos(math.pi * step / RUN["total_steps"])) / 2


def reference(kind, exclude=("encoder/bias",), decay_end=DECAY, clip=0.0):
    """The same as a loop that leaves a parameter out while it waits, as authors' code does."""
    params = {name: x.copy() for name, x in START.items()}
    memory = {name: {"count": 0, "m": 0.0, "v": 0.0} for name in params}
    path = []
    for step, gradient in enumerate(GRADS):
        rate, decay = cosine(RATE, 0.0, step), cosine(DECAY, decay_end, step)
        for name, p in params.items():
            if name == "prototypes" and step < LATE:
                continue
            g, mine = gradient[name], memory[name]
            if clip:
                g = g * min(1.0, clip / (np.linalg.norm(g) + 1e-6))
            decay_here = 0.0 if name in exclude else decay
            mine["count"] += 1
            if kind == "sgd":
                mine["m"] = 0.9 * mine["m"] + g + decay_here * p
                params[name] = p - rate * mine["m"]
            elif kind == "larc":
                trust = 0.001 * np.linalg.norm(p) / np.linalg.norm(g + decay_here * p)
                mine["m"] = 0.9 * mine["m"] + trust * (g + decay_here * p)
                params[name] = p - rate * mine["m"]
            else:
                mine["m"] = 0.9 * mine["m"] + 0.1 * g
                mine["v"] = 0.999 * mine["v"] + 0.001 * g**2
                first = mine["m"] / (1 - 0.9 ** mine["count"])
                second = mine["v"] / (1 - 0.999 ** mine["count"])
                params[name] = p - rate * (first / (np.sqrt(second) + 1e-8) + decay_here * p)
        path.append(dict(params))
    return path


def assert_same(found, expected):
    assert len(found) == len(expected)
    for now, wanted in zip(found, expected, strict=True):
        for name, value in wanted.items():
            np.testing.assert_allclose(now[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def build(values, **options):
    return optimizers.build_with_frozen(
        values, **RUN, frozen="^prototypes$", frozen_steps=LATE, **options
    )


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_late_parameters_start_afresh_under_the_running_schedule(kind):
    """No momentum is built up, no average, no decay; the learning rate has gone on."""
    assert_same(learn(build(settings(name=kind))), reference(kind))


def test_waiting_parameters_and_their_optimizer_state_do_not_change():
    tx = build(settings(name="adamw")).tx
    params = nested(START)
    start = state = tx.init(params)
    for step, gradient in enumerate(GRADS[:LATE]):
        updates, state = tx.update(nested(gradient), state, params, step=step)
        assert not np.any(updates["prototypes"])
        assert np.all(updates["encoder"]["kernel"])
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(start.inner_states["frozen"]),
        jax.tree.leaves(state.inner_states["frozen"]),
        strict=True,
    )
    assert not [path for (path, old), new in pairs if np.any(old != new)]


def test_larc_leaves_nothing_out():
    """LARS with no exclusions and gradients in the momentum buffer is LARC without clipping."""
    values = settings(name="lars", exclude=(), classic_momentum=False)
    assert_same(learn(build(values)), reference("larc", exclude=()))


def test_weight_decay_follows_its_schedule():
    optimizer = build(settings(name="adamw"), weight_decay_end=0.4)
    assert_same(learn(optimizer), reference("adamw", decay_end=0.4))


def test_equal_ends_are_the_optimizers_own_weight_decay():
    for name in ("sgd", "adamw"):
        optimizer = build(settings(name=name), weight_decay_end=DECAY)
        assert_same(learn(optimizer), reference(name))


def test_only_adamw_has_scheduled_weight_decay():
    with pytest.raises(ValueError, match=r"from 0\.05 to 0\.4, which only adamw can do"):
        build(settings(name="sgd"), weight_decay_end=0.4)


def test_each_gradient_is_clipped_on_its_own():
    norms = [np.linalg.norm(g[name]) for g in GRADS for name in SHAPES]
    assert min(norms) < 1.5 < max(norms)
    assert_same(learn(build(settings(), clip_each=1.5)), reference("sgd", clip=1.5))


def test_the_global_norm_is_over_late_parameters_too():
    grads = [GRADS[0]]
    whole = math.sqrt(sum(np.sum(g**2) for g in GRADS[0].values()))
    (found,) = learn(build(settings(clip_norm=1.0, weight_decay=0.0)), grads)
    expected = START["encoder/kernel"] - RATE * GRADS[0]["encoder/kernel"] / whole
    np.testing.assert_allclose(found["encoder/kernel"], expected, rtol=1e-5)


def test_accumulated_batches_make_one_update_of_their_mean_gradient(trained_by):
    """It is the mean that is clipped, and waits, rates and decay go by train step."""
    apart = [{name: RNG.normal(size=shape) for name, shape in SHAPES.items()} for _ in GRADS]
    steps = [
        [nested({name: g[name] + sign * a[name] for name in g}) for sign in (4, -4)]
        for g, a in zip(GRADS, apart, strict=True)
    ]
    # Two batches of half as many images.
    optimizer = optimizers.build_with_frozen(
        settings(name="adamw", accumulate=2, scaling="linear"),
        **RUN | {"batch_size": 128},
        frozen="^prototypes$",
        frozen_steps=LATE,
        clip_each=1.5,
        weight_decay_end=0.4,
    )
    path, metrics = trained_by(optimizer, nested(START), steps)
    assert_same([flat(params) for params in path], reference("adamw", decay_end=0.4, clip=1.5))
    for step, values in enumerate(metrics):
        assert float(values["one/learning_rate"]) == pytest.approx(cosine(RATE, 0.0, step))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_they_begin_by_the_train_step_and_not_by_the_updates(name):
    """With two updates a step, the first that moves them is that of step LATE."""
    tx = build(settings(name=name)).tx
    params = nested(START)
    state = tx.init(params)
    for step in range(LATE + 1):
        for _ in range(2):
            updates, state = tx.update(nested(GRADS[0]), state, params, step=step)
            assert np.any(updates["prototypes"]) == (step >= LATE)


def test_the_warmup_ends_at_the_peak_for_all_parameters():
    values = settings(warmup_steps=4, momentum=0.0, weight_decay=0.0)
    optimizer = build(values)
    rates = [
        *np.linspace(0.0, RATE, 4),
        *(RATE * (1 + math.cos(math.pi * i / 4)) / 2 for i in range(4)),
    ]
    params = nested(START)
    state = optimizer.tx.init(params)
    ones = jax.tree.map(jnp.ones_like, params)
    for step, rate in enumerate(rates):
        updates, state = optimizer.tx.update(ones, state, params, step=step)
        assert float(optimizer.schedule(step)) == pytest.approx(rate, abs=1e-7)
        np.testing.assert_allclose(updates["encoder"]["kernel"], -rate, rtol=1e-5)
        late = -rate if step >= LATE else 0.0
        np.testing.assert_allclose(updates["prototypes"], late, rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"accumulate": 0}, {"clip_norm": -1.0}, {"momentum": 1.0}])
def test_impossible_settings_are_told(wrong):
    with pytest.raises(UserError, match=f"The optimizer's {next(iter(wrong))} is"):
        build(settings(**wrong))


def test_a_pattern_that_matches_nothing_is_told():
    optimizer = optimizers.build_with_frozen(
        settings(), **RUN, frozen="^prototype$", frozen_steps=1
    )
    with pytest.raises(ValueError, match="matches none of the parameters"):
        optimizer.tx.init(nested(START))


@pytest.mark.parametrize(("step", "value"), [(0, 0.04), (50, 0.22), (100, 0.4), (130, 0.4)])
def test_cosine_schedule(step, value):
    schedule = cosine_schedule(0.04, 0.4, 100)
    assert schedule(jnp.int32(step)) == pytest.approx(value, rel=1e-6)
