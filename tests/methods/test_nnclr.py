"""NNCLR: whose neighbours are taken, from which queue, and what enters it."""

import numpy as np
import pytest

from ssljax.methods.nnclr import NNCLR


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
    queue = np.asarray(state.memory["queue"], np.float64)
    z = [unit(output["projection"]) for output in outputs]
    p = [unit(output["prediction"]) for output in outputs]
    expected = 0.0
    for one, other in ((0, 1), (1, 0)):
        neighbors = queue[np.argmax(z[one] @ queue.T, axis=1)]
        logits = neighbors @ p[other].T / 0.1
        expected += np.mean(np.log(np.sum(np.exp(logits), 1)) - np.diagonal(logits)) / 2
    assert loss == pytest.approx(expected, rel=1e-3)

    assert int(state.memory["pointer"]) == 0
    assert int(after.memory["pointer"]) == 16
    np.testing.assert_allclose(after.memory["queue"][:16], z[0], atol=1e-4)
    np.testing.assert_array_equal(after.memory["queue"][16:], state.memory["queue"][16:])


def test_the_queue_is_a_ring(first_steps):
    _, states, _ = first_steps(NNCLR)
    assert [int(state.memory["pointer"]) for state in states] == [0, 16, 0, 16]
    queues = [np.asarray(state.memory["queue"]) for state in states]
    np.testing.assert_array_equal(queues[1][16:], queues[0][16:])
    np.testing.assert_array_equal(queues[2][:16], queues[1][:16])
    np.testing.assert_array_equal(queues[3][16:], queues[2][16:])
    np.testing.assert_allclose(np.linalg.norm(queues[3], axis=1), 1.0, atol=1e-5)


def test_a_queue_that_batches_do_not_fill_is_refused(tiny):
    with pytest.raises(ValueError, match=r"queue_size=40 .* batch of 16"):
        tiny.build(NNCLR, queue_size=40)
