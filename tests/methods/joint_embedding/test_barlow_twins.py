"""Barlow Twins: the loss of two passes, and the slower biases and norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.joint_embedding.barlow_twins import BarlowTwins


def test_the_loss_is_the_formula_on_two_passes(tiny, first_steps):
    method, states, _ = first_steps(BarlowTwins)
    state, views = states[1], tiny.views()
    loss, _ = tiny.loss(method, state, views)
    z = []
    for view in views:
        outputs, _ = tiny.outputs(
            method.network, state.params["online"], state.variables["online"], view
        )
        rows = np.asarray(outputs["projection"], np.float64)
        z.append((rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5))
    correlation = z[0].T @ z[1] / 16
    diagonal = np.diagonal(correlation)
    off_diagonal = np.sum(correlation**2) - np.sum(diagonal**2)
    expected = np.sum((diagonal - 1) ** 2) + 0.0051 * off_diagonal
    assert loss == pytest.approx(expected, rel=1e-4)


def test_biases_and_norms_learn_at_their_own_rate(tiny):
    config = tiny.config(BarlowTwins)
    config.optimizer.update(momentum=0.9, schedule="constant", learning_rate=0.2)
    method = BarlowTwins(config, tiny.task)
    (player,) = method.players
    params = jax.eval_shape(method.init, jax.random.key(0))[0]["online"]
    ones = jax.tree.map(lambda x: jnp.ones(x.shape), params)
    state = player.tx.init(ones)
    for step, buffer in enumerate((1.0, 1.9)):  # Momentum's buffer of unit gradients.
        updates, state = player.tx.update(ones, state, ones, step=step)
        for update in jax.tree.leaves(updates):
            rate = 0.0048 if update.ndim == 1 else 0.2
            np.testing.assert_allclose(update, -rate * buffer, rtol=1e-6)
