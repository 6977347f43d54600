"""Losses of restored pixels, against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses import pixel_cross_entropy, pixel_squared_error


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    shape = (3, 4, 5, 2)
    weight = rng.uniform(1, 10, shape[:3])
    return 3 * rng.normal(size=shape), rng.uniform(size=shape), weight


def f32(x):
    return jnp.asarray(x, jnp.float32)


def test_squared_error(data):
    prediction, target, weight = data
    error = (prediction - target) ** 2
    found = pixel_squared_error(f32(prediction), f32(target))
    np.testing.assert_allclose(found, error.mean(), rtol=1e-6)
    found = pixel_squared_error(f32(prediction), f32(target), f32(weight))
    expected = (error * weight[..., None]).sum() / error.size
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_cross_entropy(data):
    logits, target, _ = data
    white = 1 / (1 + np.exp(-logits))
    expected = -(target * np.log(white) + (1 - target) * np.log(1 - white)).mean()
    np.testing.assert_allclose(pixel_cross_entropy(f32(logits), f32(target)), expected, rtol=1e-6)
    slope = jax.grad(pixel_cross_entropy)(f32(logits), f32(target))
    np.testing.assert_allclose(slope, (white - target) / white.size, atol=1e-7)
    # Where sigmoids are 0 or 1 the logarithms would be infinite.
    far = pixel_cross_entropy(f32([[[[200.0]]]]), f32([[[[0.0]]]]))
    assert float(far) == 200.0


@pytest.mark.parametrize("loss", [pixel_squared_error, pixel_cross_entropy])
def test_targets_get_no_gradient(loss, data):
    prediction, target, _ = data
    slope = jax.grad(loss, argnums=1)(f32(prediction), f32(target))
    assert not np.any(slope)
