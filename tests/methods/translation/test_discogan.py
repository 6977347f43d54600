"""DiscoGAN: who moves when, the shares of its loss, and the range of its images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from translators import (
    KEY,
    TASK,
    batch,
    build,
    config,
    images,
    logits,
    loss,
    outputs,
    run_step,
    start,
    translate,
    views,
)

from ssljax.methods.contract import Turn
from ssljax.methods.translation import DiscoGAN

OTHER = {"A": "B", "B": "A"}


@pytest.fixture(scope="module")
def method():
    return build(DiscoGAN)


@pytest.fixture(scope="module")
def state(method):
    return start(method)


def test_every_third_step_is_the_discriminators_and_the_others_are_not(method, state):
    moved = []
    for number in range(5):
        after, _ = run_step(method, state, batch(number))
        moved.append(
            {
                player
                for player in state.params
                if _differ(state.params[player], after.params[player])
                or _differ(state.variables[player], after.variables[player])
            }
        )
        state = after
    d, g = {"discriminators"}, {"generators"}
    assert moved == [d, g, g, d, g]


def _differ(one, other):
    return any(jax.tree.leaves(jax.tree.map(lambda a, b: bool(np.any(a != b)), one, other)))


def test_the_way_back_counts_little_for_10000_steps_and_then_half(method):
    steps = jnp.array([0, 9_999, 10_000, 10_001])
    np.testing.assert_allclose(jax.vmap(method.rate)(steps), [0.01, 0.01, 0.5, 0.5], rtol=1e-6)


def test_the_generators_loss_is_the_sum_over_the_domains(method, state):
    real = views(method)
    fakes = {x: outputs(method, f"to_{x}", state, real[OTHER[x]]) for x in OTHER}
    expected, rate = 0.0, 0.01
    for x, other in OTHER.items():
        judged = [outputs(method, f"of_{x}", state, part) for part in (real[x], fakes[x])]
        # Images of 16 pixels have two layers, of which the second has a norm.
        means = [np.asarray(one["block2"], np.float64).mean(axis=0) for one in judged]
        matching = np.mean((means[0] - means[1]) ** 2)
        game = np.mean(np.logaddexp(0, -np.asarray(judged[1]["logits"], np.float64)))
        again = np.asarray(outputs(method, f"to_{x}", state, fakes[other]), np.float64)
        error = np.mean((again - np.asarray(real[x], np.float64)) ** 2)
        expected += (0.1 * game + 0.9 * matching) * (1 - rate) + rate * error
    value, aux = loss(method, "generators", state, real, {})
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    assert float(aux.metrics["rate"]) == pytest.approx(0.01)


def test_discriminators_have_half_the_logistic_loss(method, state):
    real, expected = views(method), 0.0
    for x, other in OTHER.items():
        fake = outputs(method, f"to_{x}", state, real[other])
        expected += 0.5 * np.mean(np.logaddexp(0, -logits(method, f"of_{x}", state, real[x])))
        expected += 0.5 * np.mean(np.logaddexp(0, logits(method, f"of_{x}", state, fake)))
    value, _ = loss(method, "discriminators", state, real, {})
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_images_are_0_to_1_inside_and_translations_minus_1_to_1(method, state):
    raw = batch(0)
    for domain, view in views(method).items():
        expected = np.asarray(raw[domain]["image"][:, 0], np.float64) / 255
        np.testing.assert_allclose(view, expected, atol=1e-6)
    images_of_b = images(3, 2)
    params, variables = method.networks.weights(state, "to_A")
    inside = method.networks.by_role["to_A"].apply(
        {"params": params, **variables}, images_of_b.astype(jnp.float32) / 255, False
    )
    found = translate(method, state, images_of_b, "B to A")
    np.testing.assert_allclose(found, 2 * np.asarray(inside) - 1, rtol=1e-4, atol=1e-5)


def test_without_shares_there_is_no_way_back():
    method = build(DiscoGAN, starting_rate=0.0, default_rate=0.0)
    passes = []
    run = method.run
    method.run = lambda role, *rest: passes.append(role) or run(role, *rest)
    state = start(method)
    turn = Turn(state, views(method), KEY)
    jax.eval_shape(method.generators_loss, state.params["generators"], turn)
    assert [role for role in passes if role.startswith("to_")] == ["to_A", "to_B"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"discriminator_every": 1}, "discriminator_every is 1; it must be 2 or more"),
        ({"default_rate": 1.5}, "default_rate is 1.5; it is a share"),
        ({"view": {"size": 18}}, "18x18 pixels do not halve"),
    ],
)
def test_what_does_not_fit_is_told(changes, told):
    with pytest.raises(ValueError, match=told):
        jax.eval_shape(DiscoGAN(config(DiscoGAN, **changes), TASK).init, KEY)
