"""SimSiam: stopped gradient, its heads, and the predictor's constant learning rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.contract import Turn
from ssljax.methods.joint_embedding.simsiam import SimSiam


def test_only_predictions_give_gradient_to_the_encoder(tiny, first_steps):
    method, states, _ = first_steps(SimSiam)
    state = states[2]

    def encoder_gradient(share):
        """With the share of the prediction that depends on the images."""
        params = state.params["online"]
        linear = params["predictor"]["linear2"]
        linear = {"kernel": share * linear["kernel"], "bias": linear["bias"] + 1.0}
        params = params | {"predictor": params["predictor"] | {"linear2": linear}}
        gradients = gradient(params)
        return max(np.abs(x).max() for x in jax.tree.leaves(gradients["encoder"]))

    @tiny.jit
    def gradient(params):
        return jax.grad(
            lambda params: method.loss(params, Turn(state, tiny.views(), state.key))[0]
        )(params)

    assert encoder_gradient(share=1.0) > 1e-3
    assert encoder_gradient(share=0.0) == 0.0


@pytest.mark.parametrize("layers", [2, 3])
def test_the_heads_are_the_published_ones(tiny, layers):
    method = tiny.build(SimSiam, projector_layers=layers)
    params, variables, _ = jax.eval_shape(method.init, jax.random.key(0))
    params, statistics = params["online"], variables["online"]["batch_stats"]
    # The projector's last norm has statistics but learns nothing; the predictor ends in a linear.
    assert f"norm{layers}" in statistics["projector"]
    assert f"norm{layers}" not in params["projector"]
    assert sorted(params["predictor"]) == ["linear1", "linear2", "norm1"]
    assert sorted(params["predictor"]["linear2"]) == ["bias", "kernel"]
    assert sorted(statistics["predictor"]) == ["norm1"]


@pytest.mark.parametrize(("constant", "factor"), [(True, 1.0), (False, 1.0), (True, 10.0)])
def test_only_the_predictor_keeps_its_learning_rate(tiny, constant, factor):
    """And only the predictor's is multiplied."""
    config = tiny.config(SimSiam, predictor_constant_rate=constant, predictor_rate=factor)
    config.optimizer.update(momentum=0.0, exclude=(), weight_decay=0.0, warmup_steps=2)
    (player,) = SimSiam(config, tiny.task).players
    ones = {name: {"kernel": jnp.ones(1)} for name in ("encoder", "projector", "predictor")}
    state, rates = player.tx.init(ones), []
    for step in range(9):
        updates, state = player.tx.update(ones, state, ones, step=step)
        rates.append({name: -float(update["kernel"][0]) for name, update in updates.items()})
        # The log shows what the encoder learns at.
        assert float(player.schedule(step)) == pytest.approx(rates[-1]["encoder"], abs=1e-8)
    falling = [0.0, 0.005] + [0.01 * (1 + np.cos(np.pi * k / 6)) / 2 for k in range(7)]
    for name in ("encoder", "projector"):
        np.testing.assert_allclose([rate[name] for rate in rates], falling, atol=1e-8)
    expected = factor * np.array([0.01] * 9 if constant else falling)
    np.testing.assert_allclose([rate["predictor"] for rate in rates], expected, atol=1e-8)
