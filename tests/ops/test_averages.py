"""The moving average against its closed form in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.averages import moving_average


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99, 1.0])
def test_each_step_has_the_weight_of_its_age(momentum):
    steps = np.random.default_rng(0).normal(size=(7, 3))
    average = {"w": jnp.asarray(steps[0], jnp.float32)}
    for new in steps[1:]:
        average = moving_average(average, {"w": jnp.asarray(new, jnp.float32)}, momentum)
    weights = np.array([momentum**6, *((1 - momentum) * momentum ** np.arange(5, -1, -1))])
    np.testing.assert_allclose(average["w"], weights @ steps, rtol=1e-5, atol=1e-6)


def test_trees_of_two_kinds_are_refused():
    with pytest.raises(ValueError, match="structure"):
        moving_average({"a": jnp.zeros(2)}, {"b": jnp.zeros(2)}, 0.9)
