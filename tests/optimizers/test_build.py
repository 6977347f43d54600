"""Optimizers against their formulas in float64, schedules, and independence of the mesh."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax import optimizers

RUN = {"total_steps": 8, "steps_per_epoch": 4, "batch_size": 512}
RULES = ["sgd", "lars", "adam", "adamw", "lamb", "rmsprop"]


def some_params(seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {
        "layer": {"bias": rng.normal(size=4), "kernel": rng.normal(size=(3, 4))},
        "norm1": {"scale": 1 + 0.1 * rng.normal(size=4)},
    }


def some_gradients(steps: int) -> list[dict[str, dict[str, np.ndarray]]]:
    return [some_params(seed) for seed in range(1, steps + 1)]


def to_jax(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def trajectory(optimizer: optimizers.Optimizer, steps: int = 6):
    """Parameters after each step on the given gradients."""
    params = to_jax(some_params())
    state = optimizer.tx.init(params)
    update = jax.jit(optimizer.tx.update)
    seen = []
    for step, gradients in enumerate(some_gradients(steps)):
        updates, state = update(to_jax(gradients), state, params, step=step)
        params = optax.apply_updates(params, updates)
        seen.append(params)
    return seen


def expected_trajectory(rule, steps: int = 6):
    """The same in float64: `rule(param, gradient, memory, step, adapted) -> (param, memory)`."""
    params = some_params()
    paths = [("layer", "bias"), ("layer", "kernel"), ("norm1", "scale")]
    memory = {path: (0.0, 0.0) for path in paths}
    seen = []
    for step, gradients in enumerate(some_gradients(steps)):
        params = {module: dict(leaves) for module, leaves in params.items()}
        for module, leaf in paths:
            params[module][leaf], memory[module, leaf] = rule(
                params[module][leaf],
                gradients[module][leaf],
                memory[module, leaf],
                step,
                leaf == "kernel",
            )
        seen.append(params)
    return seen


def assert_same(actual, expected, rtol: float = 2e-5):
    for one, other in zip(actual, expected, strict=True):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), one, other
        )


def rate(step: int, peak: float, warmup: int = 2, total: int = 8) -> float:
    if step < warmup:
        return peak * step / warmup
    return peak * 0.5 * (1 + np.cos(np.pi * (step - warmup) / (total - warmup)))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("classic", [True, False])
def test_lars_follows_its_formula(classic, nesterov):
    config = {
        "name": "lars",
        "learning_rate": 3.0,
        "scaling": "linear",
        "warmup_steps": 2,
        "weight_decay": 0.1,
        "nesterov": nesterov,
        "classic_momentum": classic,
    }

    def rule(param, gradient, memory, step, adapted):
        trust = 1.0
        if adapted:
            gradient = gradient + 0.1 * param
            trust = 0.001 * np.linalg.norm(param) / np.linalg.norm(gradient)
        inside, outside = (rate(step, 6.0), 1.0) if classic else (1.0, rate(step, 6.0))
        step_taken = inside * trust * gradient
        velocity = 0.9 * memory[0] + step_taken
        ahead = 0.9 * velocity + step_taken if nesterov else velocity
        return param - outside * ahead, (velocity, 0.0)

    assert_same(trajectory(optimizers.build(config, **RUN)), expected_trajectory(rule))


def test_lars_with_classic_momentum_is_that_of_optax():
    config = {"name": "lars", "learning_rate": 0.7, "weight_decay": 0.1, "exclude": ()}
    optimizer = optimizers.build(config, **RUN)
    of_optax = optimizers.Optimizer(
        optax.with_extra_args_support(optax.lars(optimizer.schedule, weight_decay=0.1)),
        optimizer.schedule,
    )
    assert_same(trajectory(optimizer), trajectory(of_optax), rtol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_follows_its_formula(nesterov):
    config = {
        "name": "sgd",
        "learning_rate": 0.02,
        "scaling": "sqrt",
        "warmup_epochs": 0.5,
        "weight_decay": 0.1,
        "nesterov": nesterov,
    }
    peak = 0.02 * np.sqrt(512)

    def rule(param, gradient, memory, step, decayed):
        gradient = gradient + 0.1 * param * decayed
        velocity = 0.9 * memory[0] + gradient
        ahead = 0.9 * velocity + gradient if nesterov else velocity
        return param - rate(step, peak) * ahead, (velocity, 0.0)

    assert_same(trajectory(optimizers.build(config, **RUN)), expected_trajectory(rule))


@pytest.mark.parametrize("name", ["adam", "adamw", "lamb"])
def test_adam_and_its_kin_follow_their_formulas(name):
    config = {
        "name": name,
        "learning_rate": 0.1,
        "schedule": "constant",
        "warmup_steps": 2,
        "weight_decay": 0.1,
        "b1": 0.5,
        "b2": 0.9,
    }

    def rule(param, gradient, memory, step, included):
        if name == "adam" and included:
            gradient = gradient + 0.1 * param
        mean = 0.5 * memory[0] + 0.5 * gradient
        square = 0.9 * memory[1] + 0.1 * gradient**2
        corrected = mean / (1 - 0.5 ** (step + 1))
        direction = corrected / (np.sqrt(square / (1 - 0.9 ** (step + 1))) + 1e-8)
        if name != "adam" and included:
            direction = direction + 0.1 * param
            if name == "lamb":
                direction *= np.linalg.norm(param) / np.linalg.norm(direction)
        return param - 0.1 * min(step / 2, 1) * direction, (mean, square)

    assert_same(trajectory(optimizers.build(config, **RUN)), expected_trajectory(rule))


@pytest.mark.parametrize("decay", [None, 0.8])
def test_rmsprop_divides_by_the_root_of_the_squares_average(decay):
    """As in PyTorch: the average starts at 0 and is not corrected, and epsilon is outside the root.

    The largest epsilon shows where it is added.
    """
    for eps in (1e-8, 0.5):
        config = {"name": "rmsprop", "learning_rate": 0.01, "schedule": "constant", "eps": eps}
        config |= {} if decay is None else {"decay": decay}
        kept = 0.99 if decay is None else decay

        def rule(param, gradient, memory, step, included, kept=kept, eps=eps):
            square = kept * memory[1] + (1 - kept) * gradient**2
            return param - 0.01 * gradient / (np.sqrt(square) + eps), (0.0, square)

        assert_same(trajectory(optimizers.build(config, **RUN)), expected_trajectory(rule))


def test_clipping_bounds_the_global_norm_and_leaves_small_gradients_alone():
    gradients = some_gradients(1)[0]
    norm = np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(gradients)))
    config = {"name": "sgd", "learning_rate": 1.0, "momentum": 0.0, "schedule": "constant"}
    for limit, factor in ((norm / 4, 0.25), (norm * 4, 1.0)):
        optimizer = optimizers.build(config | {"clip_norm": limit}, **RUN)
        expected = jax.tree.map(lambda p, g, f=factor: p - f * g, some_params(), gradients)
        assert_same(trajectory(optimizer, 1), [expected])


def test_a_step_of_three_batches_is_one_update_by_their_mean_gradient(trained_by):
    """LARS is not linear in gradients: the trust ratio is that of their mean."""
    settings = {"name": "lars", "learning_rate": 0.5, "scaling": "linear", "weight_decay": 0.1}
    optimizer = optimizers.build(settings | {"accumulate": 3}, **RUN)
    steps = []
    for mean, apart in zip(some_gradients(6), some_gradients(12)[6:], strict=True):
        steps.append([
            jax.tree.map(lambda m, a, f=factor: m + f * a, mean, apart) for factor in (2, -3, 1)
        ])  # fmt: skip

    def rule(param, gradient, memory, step, adapted):
        trust = 1.0
        if adapted:
            gradient = gradient + 0.1 * param
            trust = 0.001 * np.linalg.norm(param) / np.linalg.norm(gradient)
        # Three batches of 512 are six times 256 images.
        velocity = 0.9 * memory[0] + rate(step, 0.5 * 6, warmup=0) * trust * gradient
        return param - velocity, (velocity, 0.0)

    found, metrics = trained_by(optimizer, some_params(), steps)
    assert_same(found, expected_trajectory(rule))
    rates = [float(values["one/learning_rate"]) for values in metrics]
    np.testing.assert_allclose(rates, [rate(step, 3.0, warmup=0) for step in range(6)], rtol=1e-5)


@pytest.mark.parametrize("scaling", ["none", "linear", "sqrt"])
def test_the_rate_is_that_of_all_images_of_an_update(scaling):
    config = {"name": "sgd", "learning_rate": 0.3, "scaling": scaling}
    small = optimizers.build(config | {"accumulate": 4}, **RUN).schedule
    large = optimizers.build(config, **RUN | {"batch_size": 4 * RUN["batch_size"]}).schedule
    for step in (0, 5):
        np.testing.assert_allclose(small(step), large(step), rtol=1e-6)


def test_the_rate_is_that_of_the_train_step_however_many_updates_there_were():
    config = {"name": "sgd", "learning_rate": 0.3, "momentum": 0.0, "exclude": ()}
    tx, schedule = optimizers.build(config, **RUN)
    params = to_jax(some_params())
    state = tx.init(params)
    ones = jax.tree.map(jnp.ones_like, params)
    # Three updates in one step, a step without one, and the steps in any order.
    for step in (0, 0, 0, 2, 7, 1):
        updates, state = tx.update(ones, state, params, step=step)
        for update in jax.tree.leaves(updates):
            np.testing.assert_allclose(update, -rate(step, 0.3, warmup=0), rtol=1e-5)
        np.testing.assert_allclose(schedule(step), rate(step, 0.3, warmup=0), rtol=1e-5)


@pytest.mark.parametrize("name", RULES)
def test_adams_own_count_is_of_updates(name):
    """What corrects the bias of averages counts them, whatever the step."""
    config = {"name": name, "learning_rate": 0.3, "schedule": "constant"}
    tx, _ = optimizers.build(config, **RUN)
    start, paths = to_jax(some_params()), []
    for numbers in ((0, 1, 2), (5, 5, 7)):
        params, state = start, tx.init(start)
        for number, gradients in zip(numbers, some_gradients(3), strict=True):
            updates, state = tx.update(to_jax(gradients), state, params, step=number)
            params = optax.apply_updates(params, updates)
        paths.append(params)
    jax.tree.map(np.testing.assert_array_equal, *paths)


def test_the_warmup_can_end_at_the_peak():
    """As np.linspace(0, peak, warm-up) has it, after which the cosine begins at the peak."""
    config = {"name": "sgd", "learning_rate": 0.3, "warmup_steps": 3}
    schedule = optimizers.build(config, **RUN, warmup_ends_at_peak=True).schedule
    after = [0.3 * 0.5 * (1 + np.cos(np.pi * i / 5)) for i in range(5)]
    expected = [*np.linspace(0, 0.3, 3), *after]
    np.testing.assert_allclose([schedule(step) for step in range(8)], expected, rtol=1e-5)
    single = optimizers.build(config | {"warmup_steps": 1}, **RUN, warmup_ends_at_peak=True)
    np.testing.assert_allclose([single.schedule(0), single.schedule(1)], [0.0, 0.3], rtol=1e-6)


@pytest.mark.parametrize(("scaling", "factor"), [("none", 1), ("linear", 2), ("sqrt", 512**0.5)])
def test_the_rate_climbs_then_falls_as_a_cosine(scaling, factor):
    config = {"name": "sgd", "learning_rate": 0.3, "scaling": scaling, "warmup_steps": 2}
    schedule = optimizers.build(config, **RUN).schedule
    actual = [schedule(jnp.asarray(step)) for step in range(9)]
    np.testing.assert_allclose(actual, [rate(i, 0.3 * factor) for i in range(9)], atol=1e-6)


def test_the_cosine_ends_at_the_end_value_and_stays_there():
    config = {"name": "sgd", "learning_rate": 0.3, "scaling": "linear", "end_value": 0.01}
    schedule = optimizers.build(config, **RUN).schedule
    np.testing.assert_allclose(schedule(0), 0.6, rtol=1e-6)
    np.testing.assert_allclose(schedule(4), 0.305, rtol=1e-6)
    np.testing.assert_allclose([schedule(8), schedule(50)], [0.01, 0.01], rtol=1e-6)


def test_the_linear_schedule_ends_at_the_end_value_and_stays_there():
    config = {"name": "sgd", "learning_rate": 0.3, "scaling": "linear", "schedule": "linear"}
    schedule = optimizers.build(config | {"warmup_steps": 2, "end_value": 0.06}, **RUN).schedule
    expected = [0.0, 0.3, *np.linspace(0.6, 0.06, 7), 0.06]
    steps = [*range(9), 50]
    np.testing.assert_allclose([schedule(step) for step in steps], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # Eight steps: one factor a step, down to a sixteenth.
        ({}, [2.0 ** (-step / 2) for step in range(9)]),
        # The first half at the highest rate; then four steps of a half.
        ({"hold": 0.5}, [1, 1, 1, 1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]),
        # Of the six steps after the warm-up a third is held.
        ({"hold": 1 / 3, "warmup_steps": 2}, [0, 0.5, 1, 1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]),
    ],
)
def test_the_exponential_schedule_falls_by_one_factor_and_stays_at_its_end(changes, expected):
    config = {"name": "sgd", "learning_rate": 0.3, "schedule": "exponential", "end_factor": 1 / 16}
    schedule = optimizers.build(config | changes, **RUN).schedule
    rates = [schedule(step) for step in (*range(9), 50)]
    np.testing.assert_allclose(rates, 0.3 * np.array([*expected, 1 / 16]), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "middle"), [("cosine", 0.5 * (1 + np.cos(np.pi / 4))), ("linear", 0.75)]
)
def test_other_schedules_are_held_likewise(kind, middle):
    config = {"name": "sgd", "learning_rate": 0.3, "schedule": kind, "hold": 0.5}
    schedule = optimizers.build(config, **RUN).schedule
    rates = [schedule(step) for step in (0, 4, 5, 8)]
    np.testing.assert_allclose(rates, [0.3, 0.3, 0.3 * middle, 0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "where", [{"step_epochs": (1, 1.5)}, {"step_fractions": (0.75, 0.5)}], ids=["epochs", "parts"]
)
def test_the_step_schedule_drops_at_its_boundaries(where):
    config = {"name": "sgd", "learning_rate": 1.0, "schedule": "step", "step_factor": 0.2} | where
    schedule = optimizers.build(config | {"warmup_steps": 2}, **RUN).schedule
    expected = [0, 0.5, 1, 1, 0.2, 0.2, 0.04, 0.04, 0.04]
    np.testing.assert_allclose([schedule(step) for step in range(9)], expected, rtol=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_eight_devices_update_as_one(name):
    config = {"name": name, "learning_rate": 0.5, "clip_norm": 1.0}
    optimizer = optimizers.build(
        config | {"weight_decay": 0.0 if name == "rmsprop" else 0.1, "warmup_steps": 1},
        **RUN,
    )
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(16, 3)), jnp.float32)
    y = jnp.asarray(rng.normal(size=(16, 4)), jnp.float32)

    def loss(params, x, y):
        predicted = x @ params["layer"]["kernel"] * params["norm1"]["scale"][None]
        return jnp.mean((predicted + params["layer"]["bias"][None] - y) ** 2)

    @jax.jit
    def step(params, state, number, x, y):
        grads = jax.grad(loss)(params, x, y)
        updates, state = optimizer.tx.update(grads, state, params, step=number)
        return optax.apply_updates(params, updates), state

    results = []
    for devices in (1, 8):
        mesh = jax.make_mesh(
            (devices,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices]
        )
        whole = NamedSharding(mesh, PartitionSpec())
        parted = NamedSharding(mesh, PartitionSpec("data"))
        params = jax.device_put(to_jax(some_params()), whole)
        state = jax.device_put(optimizer.tx.init(params), whole)
        for number in range(4):
            params, state = step(params, state, number, *jax.device_put((x, y), parted))
        results.append(params)
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6), *results)
    moved = np.abs(results[0]["layer"]["kernel"] - some_params()["layer"]["kernel"]).max()
    assert moved > 1e-4


@pytest.mark.parametrize("exclude", [["supervised/"], [optimizers.NORMS_AND_BIASES, "supervised/"]])
def test_a_pattern_that_matches_nothing_is_told(exclude):
    config = {"name": "lars", "learning_rate": 0.1, "exclude": exclude}
    optimizer = optimizers.build(config, **RUN)
    with pytest.raises(ValueError, match=r"'supervised/' matches none .*layer/bias"):
        optimizer.tx.init(to_jax(some_params()))


def test_nothing_is_excluded_when_nothing_is_named():
    config = {"name": "sgd", "learning_rate": 1.0, "schedule": "constant", "momentum": 0.0}
    optimizer = optimizers.build(config | {"weight_decay": 0.1, "exclude": ()}, **RUN)
    expected = jax.tree.map(lambda p, g: p - g - 0.1 * p, some_params(), some_gradients(1)[0])
    assert_same(trajectory(optimizer, 1), [expected])


def test_poly_falls_as_a_power_of_what_is_left():
    settings = {"name": "sgd", "learning_rate": 2.0, "schedule": "poly"}
    build = functools.partial(optimizers.build, total_steps=100, steps_per_epoch=10, batch_size=8)
    rate = build(settings).schedule
    for step in (0, 1, 50, 99, 100):
        np.testing.assert_allclose(rate(step), 2 * (1 - step / 100) ** 0.9, rtol=1e-5)
    stairs = build(settings | {"power": 2.0, "poly_every": 10, "warmup_steps": 20}).schedule
    for step in (20, 29, 30, 99):
        expected = 2 * (1 - (step - 20) // 10 * 10 / 80) ** 2
        np.testing.assert_allclose(stairs(step), expected, rtol=1e-5)
