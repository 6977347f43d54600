"""Pixel norm: a mean square of 1 at every place, whatever the scale."""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.models.layers.pixel_norm import pixel_norm


def test_channels_of_a_place_are_divided_by_their_root_mean_square():
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 5)) * 7
    found = pixel_norm(jnp.asarray(x, jnp.float32))
    expected = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(np.square(found).mean(axis=-1), 1, rtol=1e-5)


def test_nothing_stays_nothing_and_small_numbers_stay_small():
    x = jnp.asarray([[0.0, 0.0], [1e-4, 1e-4], [3.0, 4.0]])
    found = pixel_norm(x)
    np.testing.assert_allclose(
        found, [[0, 0], [0.5**0.5] * 2, [3 / 12.5**0.5, 4 / 12.5**0.5]], rtol=1e-5
    )
    grads = jax.grad(lambda x: jnp.sum(pixel_norm(x)))(x)
    np.testing.assert_allclose(grads[0], 1e4, rtol=1e-5)


def test_bfloat16_is_squared_in_float32():
    x = jnp.full((1, 1000), 3.0, jnp.bfloat16)
    assert pixel_norm(x).dtype == jnp.bfloat16
    np.testing.assert_array_equal(pixel_norm(x).astype(jnp.float32), 1)
