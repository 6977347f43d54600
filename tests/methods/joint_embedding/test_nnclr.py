"""NNCLR: whose neighbours are taken, from which queue, and what enters it."""

import dataclasses

import jax
import numpy as np
import pytest

from ssljax.methods.joint_embedding.nnclr import NNCLR
from ssljax.run.step import make_step


def expected_loss(outputs, queue, unit):
    """The mean of both directions, from the outputs of either view."""
    z = [unit(output["projection"]) for output in outputs]
    p = [unit(output["prediction"]) for output in outputs]
    loss = 0.0
    for one, other in ((0, 1), (1, 0)):
        neighbors = queue[np.argmax(z[one] @ queue.T, axis=1)]
        logits = neighbors @ p[other].T / 0.1
        loss += np.mean(np.log(np.sum(np.exp(logits), 1)) - np.diagonal(logits)) / 2
    return loss


def test_neighbours_come_from_the_queue_before_the_first_views_projections_enter(
    tiny, first_steps, unit
):
    method, states, _ = first_steps(NNCLR)
    state, views = states[2], tiny.views()
    loss, aux = tiny.loss(method, state, views)
    after = method.after_step(state, aux.carry)

    outputs = tiny.joint_outputs(
        method.network, state.params["online"], state.variables["online"], views
    )
    expected = expected_loss(outputs, np.asarray(state.memory["queue"], np.float64), unit)
    assert loss == pytest.approx(expected, rel=1e-3)

    assert int(state.memory["pointer"]) == 0
    assert int(after.memory["pointer"]) == 16
    first = unit(outputs[0]["projection"])
    np.testing.assert_allclose(after.memory["queue"][:16], first, atol=1e-4)
    np.testing.assert_array_equal(after.memory["queue"][16:], state.memory["queue"][16:])


def test_the_queue_is_a_ring(first_steps):
    _, states, _ = first_steps(NNCLR)
    assert [int(state.memory["pointer"]) for state in states] == [0, 16, 0, 16]
    queues = [np.asarray(state.memory["queue"]) for state in states]
    np.testing.assert_array_equal(queues[1][16:], queues[0][16:])
    np.testing.assert_array_equal(queues[2][:16], queues[1][:16])
    np.testing.assert_array_equal(queues[3][16:], queues[2][16:])
    np.testing.assert_allclose(np.linalg.norm(queues[3], axis=1), 1.0, atol=1e-5)


def test_all_batches_of_an_update_enter_the_queue_that_all_of_them_looked_into(
    tiny, unit, monkeypatch
):
    monkeypatch.setattr("ssljax.run.step.has_fast_control_flow", lambda: True)
    config = tiny.config(NNCLR)
    config.optimizer.accumulate = 2
    method = NNCLR(config, dataclasses.replace(tiny.task, batch_size=8))
    step, make_views = tiny.jit(make_step(method, accumulate=2)), tiny.jit(method.views)
    state = tiny.init(method)
    queue = np.array(state.memory["queue"], np.float64)
    for number in range(3):
        images = tiny.batch(number)["images"]["image"].reshape(8, 2, 8, 8, 1)
        key, _ = jax.random.split(jax.random.fold_in(state.key, state.step))
        projections, losses = [], []
        for i in (0, 1):
            views = make_views(jax.random.fold_in(key, i), {"images": {"image": images[:, i]}})
            outputs = tiny.joint_outputs(
                method.network, state.params["online"], state.variables["online"], views
            )
            projections.append(unit(outputs[0]["projection"]))
            losses.append(expected_loss(outputs, queue, unit))
        assert int(state.memory["pointer"]) == 16 * (number % 2)
        state, metrics = step(state, {"images": {"image": images}})
        assert float(metrics["online/loss"]) == pytest.approx(np.mean(losses), rel=1e-3)
        # Image i of the second batch follows image i of the first.
        rows = slice(16 * (number % 2), 16 * (number % 2) + 16)
        queue[rows] = np.stack(projections, axis=1).reshape(16, -1)
        np.testing.assert_allclose(state.memory["queue"], queue, atol=1e-4)


def test_a_queue_that_batches_do_not_fill_is_refused(tiny):
    with pytest.raises(ValueError, match=r"queue_size=40 .* batch of 16"):
        tiny.build(NNCLR, queue_size=40)
