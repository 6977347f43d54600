"""Cosines against float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.similarity import cosine_similarity_matrix, paired_cosine_similarity


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
