"""CycleGAN: the terms of its losses, the pool, the turns, the rate, and what it is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from translators import (
    KEY,
    SIDE,
    TASK,
    batch,
    build,
    config,
    images,
    jit,
    logits,
    loss,
    outputs,
    run_step,
    start,
    translate,
    views,
)

from ssljax import optimizers
from ssljax.methods.contract import Turn
from ssljax.methods.protocols import Translator
from ssljax.methods.translation import CycleGAN
from ssljax.ops.image_pool import exchange

POOL = 3
OTHER = {"A": "B", "B": "A"}


@pytest.fixture(scope="module")
def method():
    return build(CycleGAN, pool_size=POOL)


@pytest.fixture(scope="module")
def state(method):
    return start(method)


@pytest.fixture(scope="module")
def terms(method, state):
    """The three terms in float64, of the networks' outputs, and the translations."""
    real = views(method)
    fakes = {x: outputs(method, f"to_{x}", state, real[OTHER[x]]) for x in OTHER}
    gan = cycle = identity = 0.0
    for x, other in OTHER.items():
        gan += np.mean((logits(method, f"of_{x}", state, fakes[x]) - 1) ** 2)
        again = np.asarray(outputs(method, f"to_{x}", state, fakes[other]), np.float64)
        same = np.asarray(outputs(method, f"to_{x}", state, real[x]), np.float64)
        cycle += np.mean(np.abs(again - np.asarray(real[x])))
        identity += np.mean(np.abs(same - np.asarray(real[x])))
    return gan, cycle, identity, fakes


def test_the_generators_loss_has_three_terms(method, state, terms):
    gan, cycle, identity, fakes = terms
    value, aux = loss(method, "generators", state, views(method), {})
    np.testing.assert_allclose(value, gan + 10 * cycle + 5 * identity, rtol=1e-5)
    found = [aux.metrics[name] for name in ("gan", "cycle", "identity")]
    np.testing.assert_allclose(found, [gan, cycle, identity], rtol=1e-4)
    # What the discriminators are given was made before the update.
    for domain, fake in fakes.items():
        np.testing.assert_allclose(aux.carry["fakes"][domain], fake, rtol=1e-5, atol=1e-6)


def test_without_the_way_back_only_the_game_is_left(state, terms):
    method = build(CycleGAN, cycle_weight=0.0, pool_size=POOL)
    value, aux = loss(method, "generators", state, views(method), {})
    np.testing.assert_allclose(value, terms[0], rtol=1e-5)
    assert float(aux.metrics["cycle"]) == float(aux.metrics["identity"]) == 0.0


def test_discriminators_judge_what_the_pool_gives(method, state):
    real = views(method)
    pools = {}
    for number, domain in enumerate(OTHER):
        full = jax.random.uniform(jax.random.key(number), (POOL, SIDE, SIDE, 1), minval=-1.0)
        pools[domain] = {"images": full, "count": jnp.int32(POOL)}
    now = state.replace(memory={"pools": pools})
    fakes = {domain: 0.5 * real[other] for domain, other in OTHER.items()}
    value, aux = loss(method, "discriminators", now, real, {"fakes": fakes})
    expected = 0.0
    for number, domain in enumerate(OTHER):
        key = jax.random.fold_in(KEY, number)
        shown, pool = exchange(pools[domain], fakes[domain], key)
        assert np.any(shown != fakes[domain]), "the key should swap an image"
        expected += 0.5 * np.mean((logits(method, f"of_{domain}", now, real[domain]) - 1) ** 2)
        expected += 0.5 * np.mean(logits(method, f"of_{domain}", now, shown) ** 2)
        np.testing.assert_array_equal(aux.memory["pools"][domain]["images"], pool["images"])
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_the_pools_hold_the_first_translations(method, state):
    after, _ = run_step(method, state, batch(0))
    raw = batch(0)
    for domain, other in OTHER.items():
        real = raw[other]["image"][:, 0].astype(jnp.float32) / 127.5 - 1
        fakes = np.asarray(outputs(method, f"to_{domain}", state, real))
        pool = jax.device_get(after.memory["pools"][domain])
        assert int(pool["count"]) == POOL
        # The last image of the batch may have taken the place of one of the first three.
        places = [np.abs(fakes - image).max(axis=(1, 2, 3)).argmin() for image in pool["images"]]
        assert len(set(places)) == POOL
        np.testing.assert_allclose(pool["images"], fakes[np.array(places)], atol=1e-5)


def test_no_pool_is_carried_where_none_is_asked_for():
    method = build(CycleGAN, pool_size=0)
    assert jax.eval_shape(method.init, KEY)[2] == {}


def test_domain_b_is_changed_by_the_rule(method):
    plain, inverted = views(method), views(build(CycleGAN, domain_b={"rule": "inverted"}))
    raw = batch(0)
    for domain in OTHER:
        expected = np.asarray(raw[domain]["image"][:, 0], np.float64) / 127.5 - 1
        np.testing.assert_allclose(plain[domain], expected, atol=1e-6)
    np.testing.assert_array_equal(inverted["A"], plain["A"])
    np.testing.assert_allclose(inverted["B"], -plain["B"], atol=1e-6)


def test_both_ways_are_translated_at_the_size_of_the_views(method, state):
    assert isinstance(method, Translator)
    assert method.translations() == ("A to B", "B to A")
    raw = images(5, 2)
    pixels = np.asarray(raw, np.float32) / 127.5 - 1
    for way in method.translations():
        expected = outputs(method, f"to_{way[-1]}", state, jnp.asarray(pixels))
        found = translate(method, state, raw, way)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        # Images of another size are given the size that they had.
        large = jnp.repeat(jnp.repeat(raw, 2, axis=1), 2, axis=2)
        made = jax.eval_shape(lambda x, way=way: method.translate(state, x, way), large)
        assert made.shape == large.shape
    with pytest.raises(ValueError, match="no translation 'A to C'; there are A to B, B to A"):
        method.translate(state, raw, "A to C")


def test_features_are_those_of_the_discriminator_of_a(method, state):
    raw = images(6, 2)
    found = jit(method.features)(state, raw)
    expected = outputs(method, "of_A", state, jnp.asarray(raw, jnp.float32) / 127.5 - 1)
    assert set(found) == {"block1", "block2", "features"}
    for name, x in found.items():
        np.testing.assert_allclose(x, expected[name], rtol=1e-4, atol=1e-5)


def test_the_rate_is_constant_for_half_of_the_run_and_then_falls_to_0():
    settings = dict(name="adam", learning_rate=2e-4, schedule="linear", hold=0.5)
    made = optimizers.build(settings, total_steps=200, steps_per_epoch=1, batch_size=1)
    steps = np.array([0, 99, 100, 125, 150, 199, 200])
    expected = 2e-4 * np.array([1, 1, 1, 0.75, 0.5, 0.01, 0])
    found = np.array([float(made.schedule(step)) for step in steps])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"domain_b": {"rule": "mirrored"}}, "rule is 'mirrored'; it must be one of none, inv"),
        ({"view": {"mean": (0.5,), "std": (0.5,)}}, "method.view.std would change the range"),
        ({"view": {"size": 18}}, "sides that are multiples of 4, and these are 18x18"),
        ({"view": {"size": 4}}, "Instance norm needs more than one position"),
    ],
)
def test_what_does_not_fit_is_told(changes, told):
    with pytest.raises(ValueError, match=told):
        jax.eval_shape(CycleGAN(config(CycleGAN, **changes), TASK).init, KEY)


def test_collapse_is_unknown_of_one_image(method, state):
    several = views(method)
    alone = jax.tree.map(lambda x: x[:1], several)
    assert method.health(alone, Turn(state, alone, KEY)) == {}
    same = several | {"B": jnp.zeros_like(several["B"])}
    found = [method.health(fakes, Turn(state, several, KEY)) for fakes in (several, same)]
    assert [{name: float(x) for name, x in verdict.items()} for verdict in found] == [
        {"collapsed": 0.0},
        {"collapsed": 1.0},
    ]
