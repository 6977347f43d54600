"""KoLeo against loops in float64, and its two extremes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.koleo import koleo


def f32(x):
    return jnp.asarray(x, jnp.float32)


def unit(x):
    return x / np.sqrt(x @ x)


def reference(embeddings):
    z = [unit(row) for row in embeddings]
    total = 0.0
    for i, row in enumerate(z):
        distances = [np.sqrt(np.sum((row - other) ** 2)) for j, other in enumerate(z) if j != i]
        total -= np.log(min(distances) + 1e-8)
    return total / len(z)


@pytest.mark.parametrize("dim", [2, 16])
def test_value_matches_float64(dim):
    embeddings = np.random.default_rng(0).normal(size=(9, dim))
    np.testing.assert_allclose(koleo(f32(embeddings)), reference(embeddings), rtol=1e-4)


def test_even_spread_is_best():
    angles = 2 * np.pi * np.arange(6) / 6
    even = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Neighbours on a hexagon are one radius apart.
    assert float(koleo(f32(even))) == pytest.approx(0.0, abs=1e-5)
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(size=even.shape)
        assert float(koleo(f32(even + 0.1 * noise))) > 0


def test_equal_embeddings_have_a_finite_value_and_gradient():
    dim = 4
    same = jnp.ones((3, dim))
    value, gradient = jax.value_and_grad(koleo)(same)
    assert float(value) == pytest.approx(-np.log(1e-8 * (np.sqrt(dim) + 1)), rel=1e-5)
    assert np.all(np.isfinite(gradient))


def test_a_step_down_the_gradient_parts_neighbours():
    embeddings = f32(np.random.default_rng(0).normal(size=(8, 4)))
    value, gradient = jax.value_and_grad(koleo)(embeddings)
    assert koleo(embeddings - 0.01 * gradient) < value


def test_single_image_is_refused():
    with pytest.raises(ValueError, match="neighbour"):
        koleo(jnp.ones((1, 3)))
