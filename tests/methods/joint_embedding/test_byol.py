"""BYOL: the order of one step, the target's own statistics, and what its optimizer leaves out."""

import itertools

import jax
import numpy as np
import pytest

from ssljax import optimizers
from ssljax.methods.joint_embedding.byol import BYOL


def momentum_at(step):
    """The paper's schedule from 0.5, over 8 steps."""
    return 1 - (1 - 0.5) * (np.cos(np.pi * step / 8) + 1) / 2


def test_the_target_follows_the_parameters_from_after_the_update(first_steps, close):
    _, states, metrics = first_steps(BYOL)
    target = jax.tree.map(lambda x: np.asarray(x, np.float64), states[0].memory["target"])
    for number, (_, after) in enumerate(itertools.pairwise(states)):
        momentum = momentum_at(number)
        assert float(metrics[number]["online/momentum"]) == pytest.approx(momentum, abs=1e-6)
        online = {name: after.params["online"][name] for name in target}
        target = jax.tree.map(
            lambda t, o, m=momentum: m * t + (1 - m) * np.asarray(o, np.float64), target, online
        )
        close(after.memory["target"], target)


def test_the_target_has_statistics_of_its_own_passes(tiny, first_steps, close):
    method, states, _ = first_steps(BYOL)
    state, (one, two) = states[2], tiny.views()
    _, aux = tiny.loss(method, state, (one, two))
    after = tiny.after(method, state, aux)
    statistics = state.memory["target_variables"]
    for view in (one, two):
        _, statistics = tiny.outputs(
            method.target_network, state.memory["target"], statistics, view
        )
    close(after.memory["target_variables"], statistics, rtol=1e-4)
    online = {name: aux.variables["batch_stats"][name] for name in statistics["batch_stats"]}
    apart = jax.tree.map(lambda a, b: np.abs(a - b).max(), statistics["batch_stats"], online)
    assert max(jax.tree.leaves(apart)) > 1e-4


def test_the_loss_sums_both_views_regressions(tiny, first_steps, unit):
    method, states, _ = first_steps(BYOL)
    state, views = states[2], tiny.views()
    loss, _ = tiny.loss(method, state, views)
    predictions, targets = [], []
    for view in views:
        online, _ = tiny.outputs(
            method.network, state.params["online"], state.variables["online"], view
        )
        target, _ = tiny.outputs(
            method.target_network, state.memory["target"], state.memory["target_variables"], view
        )
        predictions.append(unit(online["prediction"]))
        targets.append(unit(target["projection"]))
    expected = sum(
        np.mean(np.sum((predictions[i] - targets[1 - i]) ** 2, axis=1)) for i in range(2)
    )
    assert loss == pytest.approx(expected, rel=1e-4)


def test_lars_leaves_out_every_bias_and_norm_by_name(tiny):
    method = tiny.build(BYOL)
    params = jax.eval_shape(method.init, jax.random.key(0))[0]["online"]
    kept = optimizers.name_mask((optimizers.NORMS_AND_BIASES,))(params)
    assert kept == jax.tree.map(lambda x: x.ndim > 1, params)
    assert {True, False} == set(jax.tree.leaves(kept))


def test_the_views_are_made_in_different_ways():
    config = BYOL.default_config()
    one, two = config.view1.to_dict(), config.view2.to_dict()
    assert (one["blur_p"], two["blur_p"]) == (1.0, 0.1)
    assert (one["solarize_p"], two["solarize_p"]) == (0.0, 0.2)
    assert {name for name in one if one[name] != two[name]} == {"blur_p", "solarize_p"}
    assert (one["brightness"], one["contrast"], one["saturation"], one["hue"]) == (
        0.4,
        0.4,
        0.2,
        0.1,
    )
