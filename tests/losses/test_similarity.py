"""Normalised vectors and their cosines against float64, and the edge at the zero vector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.similarity import (
    cosine_similarity_matrix,
    l2_normalize,
    paired_cosine_similarity,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 5)), rng.normal(size=(6, 5))


def test_cosines_match_float64(pair):
    x, y = pair
    expected = np.array([[a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) for b in y] for a in x])
    x32, y32 = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)
    np.testing.assert_allclose(cosine_similarity_matrix(x32, y32), expected, atol=1e-6)
    np.testing.assert_allclose(paired_cosine_similarity(x32, y32), np.diag(expected), atol=1e-6)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e8])
def test_length_does_not_matter(pair, scale):
    x = jnp.asarray(pair[0], jnp.float32)
    np.testing.assert_allclose(l2_normalize(x * scale), l2_normalize(x), rtol=1e-5)


def test_zero_vector_stays_zero_with_finite_gradient():
    zero = jnp.zeros((1, 3))
    assert np.all(np.asarray(l2_normalize(zero)) == 0)
    gradient = jax.grad(lambda x: jnp.sum(l2_normalize(x)))(zero)
    assert np.all(np.isfinite(gradient))


def test_bfloat16_is_computed_in_float32(pair):
    x = jnp.asarray(pair[0], jnp.bfloat16)
    unit = l2_normalize(x)
    assert unit.dtype == jnp.float32
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, rtol=1e-6)
