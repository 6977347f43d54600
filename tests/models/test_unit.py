"""Unit vectors against float64, at any scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models.unit import unit


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e9, 1e30])
def test_direction_and_gradient_do_not_depend_on_the_length(scale):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, 4, 5))
    vectors = jnp.asarray(scale * x, jnp.float32)

    def weighted(vectors):
        return jnp.sum(jnp.asarray(weights, jnp.float32) * unit(vectors))

    length = np.linalg.norm(x, axis=1, keepdims=True)
    expected = x / length
    np.testing.assert_allclose(unit(vectors), expected, rtol=1e-5, atol=1e-6)
    # Across the vector, and as long as the vector is short.
    slope = (weights - expected * np.sum(weights * expected, axis=1, keepdims=True)) / length
    found = np.float64(jax.grad(weighted)(vectors)) * scale
    np.testing.assert_allclose(found, slope, rtol=1e-4, atol=1e-5)


def test_zero_stays_zero_and_has_no_gradient():
    vectors = jnp.zeros((2, 3), jnp.bfloat16)
    assert unit(vectors).dtype == jnp.float32
    np.testing.assert_array_equal(unit(vectors), np.zeros((2, 3)))
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(unit(x)))(vectors), np.zeros((2, 3)))
