"""The minibatch standard deviation: its groups, against float64, and on any devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded import collective_sizes, on_eight_devices

from ssljax.models.layers.minibatch_deviation import minibatch_deviation

MAPS = np.random.default_rng(0).normal(size=(32, 2, 2, 3))
X = jnp.asarray(MAPS, jnp.float32)


def expected(maps, group):
    """Image by image: the deviation of each value over the image's group, averaged."""
    found = []
    for place in range(len(maps)):
        first = place // group * group
        members = maps[first : first + group].reshape(group, -1)
        deviations = np.sqrt(((members - members.mean(axis=0)) ** 2).mean(axis=0) + 1e-8)
        found.append(deviations.mean())
    return np.array(found)


@pytest.mark.parametrize("group", [1, 2, 4, 16])
def test_one_number_of_each_group_is_appended(group):
    found = minibatch_deviation(X, group)
    assert found.shape == (32, 2, 2, 4)
    np.testing.assert_array_equal(found[..., :3], X)
    wanted = np.broadcast_to(expected(MAPS, group)[:, None, None], (32, 2, 2))
    np.testing.assert_allclose(found[..., 3], wanted, rtol=1e-5)
    if group == 1:
        np.testing.assert_allclose(found[..., 3], 1e-4, rtol=1e-5)


def test_a_small_batch_is_one_group():
    np.testing.assert_allclose(
        minibatch_deviation(X[:2], 4)[:, 0, 0, 3], expected(MAPS[:2], 2), rtol=1e-5
    )


def test_a_batch_that_groups_do_not_fill_is_refused():
    with pytest.raises(ValueError, match=r"groups of 4 .* a batch of 6: make config.batch_size"):
        minibatch_deviation(X[:6], 4)


def test_equal_images_have_a_finite_gradient():
    grads = jax.grad(lambda x: jnp.sum(minibatch_deviation(x, 4)))(jnp.ones((4, 2, 2, 3)))
    np.testing.assert_allclose(grads, 1, rtol=1e-6)


@pytest.mark.parametrize("group", [4, 16])
def test_eight_devices_have_the_groups_of_one_and_send_nothing_where_groups_are_whole(group):
    def total(x):
        return jnp.sum(jnp.sin(minibatch_deviation(x, group)))

    step = jax.jit(jax.value_and_grad(total))
    value, gradient = step(X)
    (split,) = on_eight_devices([X])
    program = step.lower(split).compile()
    many, many_gradient = program(split)
    np.testing.assert_allclose(many, value, rtol=1e-5)
    np.testing.assert_allclose(many_gradient, gradient, rtol=1e-4, atol=1e-6)
    if group == 4:  # Each device has one.
        assert max(collective_sizes(program.as_text())) == 1
