"""Lengths and unit vectors against float64, at any scale; and what has neither."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops import floats, normalize
from ssljax.ops.normalize import l2_norm, l2_normalize


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e9, 1e30])
def test_direction_and_gradient_do_not_depend_on_the_length(scale):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, 4, 5))
    vectors = jnp.asarray(scale * x, jnp.float32)

    def weighted(vectors):
        return jnp.sum(jnp.asarray(weights, jnp.float32) * l2_normalize(vectors))

    length = np.linalg.norm(x, axis=1, keepdims=True)
    expected = x / length
    np.testing.assert_allclose(l2_normalize(vectors), expected, rtol=1e-5, atol=1e-6)
    # Across the vector, and as long as the vector is short.
    slope = (weights - expected * np.sum(weights * expected, axis=1, keepdims=True)) / length
    found = np.float64(jax.grad(weighted)(vectors)) * scale
    np.testing.assert_allclose(found, slope, rtol=1e-4, atol=1e-5)


def test_zero_stays_zero_and_has_no_gradient():
    vectors = jnp.zeros((2, 3), jnp.bfloat16)
    assert l2_normalize(vectors).dtype == jnp.float32
    np.testing.assert_array_equal(l2_normalize(vectors), np.zeros((2, 3)))
    np.testing.assert_array_equal(
        jax.grad(lambda x: jnp.sum(l2_normalize(x)))(vectors), np.zeros((2, 3))
    )


@pytest.mark.parametrize("scale", [1e-35, 1e-20, 1e20, 1e35])
def test_no_square_overflows_or_vanishes(scale):
    row = jnp.asarray([[3.0, 0.0, -4.0]])
    np.testing.assert_allclose(l2_norm(scale * row), [5 * scale], rtol=1e-6)
    np.testing.assert_allclose(l2_normalize(scale * row), [[0.6, 0.0, -0.8]], rtol=1e-6)
    slope = jax.grad(lambda x: l2_norm(x)[0])(scale * row)
    np.testing.assert_allclose(slope, [[0.6, 0.0, -0.8]], rtol=1e-6)


def test_a_length_bends_as_a_length_does():
    """Gradient penalties differentiate a length twice: d²|x|/dx² = (1 - u uᵀ) / |x|."""
    x = jnp.asarray([3.0, 0.0, -4.0])
    bend = jax.jacrev(jax.grad(lambda x: l2_norm(x)))(x)
    unit = np.asarray([0.6, 0.0, -0.8])
    np.testing.assert_allclose(bend, (np.eye(3) - np.outer(unit, unit)) / 5, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_computed_in_float32(dtype):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), dtype)
    assert l2_normalize(x).dtype == jnp.float32
    np.testing.assert_allclose(np.linalg.norm(l2_normalize(x), axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rest", [0.0, 1e-39, 1.0, 1e30])
def test_a_vector_that_is_not_finite_has_no_direction(bad, rest):
    vectors = jnp.asarray([[rest, bad, rest], [3.0, 0.0, -4.0], [bad, bad, bad]])
    expected = [[np.nan] * 3, [0.6, 0.0, -0.8], [np.nan] * 3]
    np.testing.assert_allclose(l2_normalize(vectors), expected, rtol=1e-6)
    np.testing.assert_allclose(l2_norm(vectors), [np.nan, 5.0, np.nan], rtol=1e-6)
    for function in (l2_norm, l2_normalize):
        slope = jax.grad(lambda x, function=function: jnp.sum(function(x)[0]))(vectors)
        assert np.all(np.isnan(slope[0]))
        np.testing.assert_array_equal(slope[1], 0)


@pytest.mark.parametrize("module", [floats, normalize])
def test_the_examples_hold(module):
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed
