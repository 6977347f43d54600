"""MoCo: the order of one step, worked out apart, and the leak that its norm groups stop."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.joint_embedding.moco import MoCo, regroup


def info_nce(query, key, queue, temperature):
    """Cross-entropy of the positive among itself and the queue, in float64."""
    logits = np.concatenate([np.sum(query * key, axis=1, keepdims=True), query @ queue.T], axis=1)
    logits /= temperature
    return np.mean(np.log(np.sum(np.exp(logits), axis=1)) - logits[:, 0])


def average(target, online, momentum):
    def one(t, o):
        return momentum * np.asarray(t, np.float64) + (1 - momentum) * np.asarray(o, np.float64)

    return jax.tree.map(one, target, online)


def test_the_key_encoder_moves_first_and_the_queue_last(tiny, first_steps, close, unit):
    method, states, _ = first_steps(MoCo)
    state = states[2]  # Network and key encoder have parted, and the queue has gone round once.
    views = tiny.views()
    moved = method.before_step(state)
    loss, aux = tiny.loss(method, moved, views)
    after = tiny.after(method, moved, aux)

    params, memory = state.params["online"], state.memory
    target = average(memory["target"], params, 0.5)
    close(after.memory["target"], target)
    target = jax.tree.map(jnp.float32, target)

    outputs, statistics = tiny.outputs(
        method.network, target, memory["target_variables"], regroup(views[1], 4)
    )
    keys = unit(regroup(outputs["projection"], 4, back=True))
    close(after.memory["target_variables"], statistics, rtol=1e-4)
    assert int(memory["pointer"]) == 0
    assert int(after.memory["pointer"]) == 16
    np.testing.assert_allclose(after.memory["queue"][:16], keys, atol=1e-4)
    np.testing.assert_array_equal(after.memory["queue"][16:], memory["queue"][16:])

    outputs, _ = tiny.outputs(method.network, params, state.variables["online"], views[0])
    queue = np.asarray(memory["queue"], np.float64)
    expected = info_nce(unit(outputs["projection"]), keys, queue, 0.2)
    assert loss == pytest.approx(expected, rel=1e-4)


def test_whole_steps_average_the_parameters_from_before_the_update(first_steps, close):
    _, states, _ = first_steps(MoCo)
    target = states[0].memory["target"]
    for before, after in itertools.pairwise(states):
        target = average(target, before.params["online"], 0.5)
        close(after.memory["target"], target)
    assert [int(state.memory["pointer"]) for state in states] == [0, 16, 0, 16]
    # The third batch lies over the first, and the second is still there.
    queues = [np.asarray(state.memory["queue"]) for state in states]
    assert np.all(np.any(queues[3][:16] != queues[2][:16], axis=1))
    np.testing.assert_array_equal(queues[3][16:], queues[2][16:])
    np.testing.assert_allclose(np.linalg.norm(queues[3], axis=1), 1.0, atol=1e-5)


def test_symmetric_is_the_sum_of_both_directions(tiny, first_steps):
    method, states, _ = first_steps(MoCo)
    state, (one, two) = states[2], tiny.views()
    both = tiny.build(MoCo, symmetric=True)
    loss, aux = tiny.loss(both, state, (one, two))
    forth, forth_aux = tiny.loss(method, state, (one, two))
    back, back_aux = tiny.loss(method, state, (two, one))
    assert loss == pytest.approx(forth + back, rel=1e-4)
    after = both.after_step(state, aux.carry)
    # Both views' keys enter, those of the first direction first.
    expected = np.concatenate([forth_aux.carry["keys"][0], back_aux.carry["keys"][0]])
    np.testing.assert_allclose(after.memory["queue"], expected, atol=1e-4)
    assert int(after.memory["pointer"]) == 0


def test_regrouping_gives_each_image_other_company_and_can_be_undone():
    place = jnp.arange(64.0)[:, None]
    there = regroup(place, 8)
    np.testing.assert_array_equal(regroup(there, 8, back=True), place)
    before = np.asarray(place).reshape(8, 8)  # Columns are groups.
    after = np.asarray(there).reshape(8, 8)
    for group in after.T:
        # Eight images that were in eight different groups, one from each row.
        assert sorted(group % 8) == list(range(8))
        assert sorted(group // 8) == list(range(8))
    np.testing.assert_array_equal(np.sort(after, axis=1), before)


def test_batch_statistics_do_not_tell_which_key_is_the_positive(tiny):
    """Black images look alike: a network can tell them apart by their batches' statistics alone.

    Each of 32 batches holds one black image among bright noise. Its query is compared with the keys
    of the black images of all batches; query and key see the very same image.
    """
    rng = np.random.default_rng(0)
    batches = rng.uniform(size=(32, 64, 8, 8, 1)) * rng.uniform(size=(32, 64, 1, 1, 1))
    batches[:, 20] = 0.0
    task = dataclasses.replace(tiny.task, batch_size=64)

    def found(groups, method_keys):
        """How many of the 32 queries have their own batch's key as the nearest."""
        method = MoCo(tiny.config(MoCo, bn_groups=groups, queue_size=64), task)
        state = tiny.init(method)
        params, variables = state.params["online"], state.variables["online"]

        @tiny.jit
        def pair(images):
            outputs, _ = passes.forward(method.network, params, variables, images)
            query = outputs["projection"]
            key = method.keys(params, variables, [images])[0][0] if method_keys else query
            return query[20], key[20]

        pairs = [pair(jnp.float32(images)) for images in batches]
        queries, keys = (np.asarray(x, np.float64) for x in zip(*pairs, strict=True))
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
        return int(np.sum(np.argmax(queries @ keys.T, axis=1) == np.arange(32)))

    assert found(groups=1, method_keys=True) >= 24  # The whole batch's statistics tell.
    assert found(groups=8, method_keys=False) >= 24  # So do groups, if both share them.
    assert found(groups=8, method_keys=True) <= 4  # Chance finds 1 of 32.


def test_v1_is_one_linear_layer(tiny):
    method = tiny.build(MoCo, projector_layers=1)
    params = jax.eval_shape(method.init, jax.random.key(0))[0]["online"]
    shapes = jax.tree.map(lambda x: x.shape, params["projector"])
    assert shapes == {"linear1": {"kernel": (16, 16), "bias": (16,)}}
    view = presets.moco_v1(224)
    assert (view.jitter_p, view.hue, view.blur_p) == (1.0, 0.4, 0.0)


@pytest.mark.parametrize(("key", "value"), [("queue_size", 40), ("bn_groups", 3)])
def test_a_batch_that_does_not_fit_is_refused(tiny, key, value):
    with pytest.raises(ValueError, match=f"method.{key}={value} .* batch of 16"):
        tiny.build(MoCo, **{key: value})
