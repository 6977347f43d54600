"""I-JEPA's loss against a formula in float64, value and gradient, and what gets no gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from ssljax.losses.latent_prediction import latent_smooth_l1


def f32(x):
    return jnp.asarray(x, jnp.float32)


def test_value_and_gradient_match_float64():
    rng = np.random.default_rng(0)
    prediction, target = 2 * rng.normal(size=(3, 2, 5, 4)), 7 + 3 * rng.normal(size=(3, 2, 5, 4))
    present = rng.uniform(size=(3, 2, 5)) < 0.6
    total, slopes = 0.0, np.zeros_like(prediction)
    for place in map(tuple, np.argwhere(present)):
        values = target[place]
        wanted = (values - values.mean()) / np.sqrt(np.mean((values - values.mean()) ** 2) + 1e-5)
        for channel, d in enumerate(prediction[place] - wanted):
            total += 0.5 * d * d if abs(d) < 1 else abs(d) - 0.5
            slopes[(*place, channel)] = d if abs(d) < 1 else np.sign(d)
    count = 4 * present.sum()
    assert 0 < np.mean(np.abs(slopes[present]) == 1) < 1  # Both branches are seen.
    value, (by_prediction, by_target) = jax.value_and_grad(latent_smooth_l1, argnums=(0, 1))(
        f32(prediction), f32(target), jnp.asarray(present)
    )
    np.testing.assert_allclose(value, total / count, rtol=1e-5)
    np.testing.assert_allclose(by_prediction, slopes / count, rtol=1e-4, atol=1e-7)
    assert not np.any(by_target)


def test_nothing_present_costs_nothing():
    rows = jnp.ones((2, 3))
    assert float(latent_smooth_l1(rows, rows, jnp.zeros(2, bool))) == 0.0


def test_shapes_that_differ_are_told():
    with pytest.raises((ValueError, TypeCheckError), match="prediction"):
        latent_smooth_l1(jnp.ones((2, 3)), jnp.ones((3, 3)), jnp.ones(2, bool))
