"""The moving average and its schedule, worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.joint_embedding import target_network


def test_the_target_goes_a_share_of_the_way_to_the_network():
    target = {"encoder": jnp.array([1.0, 2.0]), "projector": {"bias": jnp.array([4.0])}}
    online = {
        "encoder": jnp.array([3.0, -2.0]),
        "projector": {"bias": jnp.array([0.0])},
        "predictor": jnp.array([7.0]),
    }
    moved = target_network.follow(target, online, 0.75)
    assert sorted(moved) == ["encoder", "projector"]
    np.testing.assert_allclose(moved["encoder"], [1.5, 1.0])
    np.testing.assert_allclose(moved["projector"]["bias"], [3.0])


@pytest.mark.parametrize("base", [0.0, 0.99, 0.996])
def test_the_momentum_rises_to_one_along_half_a_cosine(base):
    def momentum(step):
        return float(target_network.rising_momentum(base, jnp.int32(step), 1000))

    assert momentum(0) == pytest.approx(base, abs=1e-6)
    assert momentum(500) == pytest.approx((1 + base) / 2, abs=1e-6)
    assert momentum(1000) == 1.0
    assert momentum(1001) == 1.0
    expected = 1 - (1 - base) * (np.cos(np.pi * 250 / 1000) + 1) / 2
    assert momentum(250) == pytest.approx(expected, abs=1e-6)


def test_the_target_starts_as_a_copy_without_the_predictor():
    params = {"encoder": jnp.ones(2), "predictor": jnp.ones(3)}
    variables = {"batch_stats": {"encoder": jnp.zeros(2), "predictor": jnp.zeros(3)}}
    target, target_variables = target_network.without_predictor(params, variables)
    assert list(target) == ["encoder"]
    assert list(target_variables["batch_stats"]) == ["encoder"]
    np.testing.assert_array_equal(target["encoder"], params["encoder"])
    # A train step gives its input's memory away, which no two arrays may share.
    assert target["encoder"].unsafe_buffer_pointer() != params["encoder"].unsafe_buffer_pointer()
