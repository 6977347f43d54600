"""Equalised layers: what is stored has one scale, what is used has He's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.models.layers.equalized import EqualizedConv, EqualizedDense


def made(layer, x):
    variables = layer.init(jax.random.key(0), x)
    return variables["params"], layer.apply(variables, x)


def convolved(x, kernel):
    """A convolution of 3x3 with a margin of zeros, in float64."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    return sum(
        padded[:, row : row + height, column : column + width] @ kernel[row, column]
        for row in range(3)
        for column in range(3)
    )


@pytest.mark.parametrize("gain", [2**0.5, 2**0.5 / 4, 1.0])
def test_weights_are_stored_at_one_scale_and_used_at_hes(gain):
    x = jax.random.normal(jax.random.key(1), (64, 50))
    params, y = made(EqualizedDense(400, gain), x)
    kernel = np.asarray(params["kernel"], np.float64)
    assert abs(kernel.std() - 1) < 0.02
    np.testing.assert_array_equal(params["bias"], 0)
    expected = np.asarray(x, np.float64) @ kernel * gain / np.sqrt(50)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert y.std() == pytest.approx(gain, rel=0.05)


def test_a_gradient_is_scaled_once_more():
    """So Adam's steps, which know no scale, move all layers alike."""
    x = jax.random.normal(jax.random.key(1), (8, 50))
    layer = EqualizedDense(3, 1.0)
    params, _ = made(layer, x)
    grads = jax.grad(lambda params: jnp.sum(layer.apply({"params": params}, x)))(params)
    expected = np.repeat(np.asarray(x, np.float64).sum(axis=0)[:, None] / np.sqrt(50), 3, axis=1)
    np.testing.assert_allclose(grads["kernel"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resample", ["", "up", "down"])
def test_a_convolution_repeats_places_before_it_or_averages_squares_after_it(resample):
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 5))
    params, y = made(EqualizedConv(7, resample=resample), x)
    kernel = np.asarray(params["kernel"], np.float64) * np.sqrt(2 / (9 * 5))
    plain = np.asarray(x, np.float64)
    if resample == "up":
        plain = plain.repeat(2, axis=1).repeat(2, axis=2)
    expected = convolved(plain, kernel)
    if resample == "down":
        expected = expected.reshape(2, 4, 2, 4, 2, 7).mean(axis=(2, 4))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_the_bias_is_added_as_it_is():
    x = jnp.zeros((1, 4, 4, 2))
    layer = EqualizedConv(3, resample="down")
    params, _ = made(layer, x)
    y = layer.apply({"params": params | {"bias": jnp.arange(3.0)}}, x)
    np.testing.assert_array_equal(y, np.broadcast_to(np.arange(3.0), (1, 2, 2, 3)))
