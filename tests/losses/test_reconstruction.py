"""Losses of masked patches against loops in float64, and what they must not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.losses.reconstruction import masked_patch_l1, masked_patch_mse


def f32(x):
    return jnp.asarray(x, jnp.float32)


def reference(prediction, target, mask, normalize):
    total, count = 0.0, 0
    for image in range(len(mask)):
        for patch in range(len(mask[image])):
            if mask[image][patch]:
                values = target[image][patch]
                if normalize:
                    variance = np.sum((values - values.mean()) ** 2) / (len(values) - 1)
                    values = (values - values.mean()) / np.sqrt(variance + 1e-6)
                total += np.mean((prediction[image][patch] - values) ** 2)
                count += 1
    return total / count


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    mask = rng.uniform(size=(3, 8)) < 0.75
    return rng.normal(size=(3, 8, 12)), rng.uniform(size=(3, 8, 12)), mask


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("mask_type", [bool, np.float32, np.int32])
def test_value_matches_float64(data, normalize, mask_type):
    prediction, target, mask = data
    value = masked_patch_mse(
        f32(prediction), f32(target), jnp.asarray(mask.astype(mask_type)), normalize
    )
    np.testing.assert_allclose(value, reference(prediction, target, mask, normalize), rtol=1e-5)


def test_absolute_error_matches_float64_in_value_and_gradient(data):
    prediction, target, mask = data
    total, count, slopes = 0.0, 0, np.zeros_like(prediction)
    for place in np.argwhere(mask):
        image, patch = place
        difference = prediction[image, patch] - target[image, patch]
        total += np.mean(np.abs(difference))
        count += 1
        slopes[image, patch] = np.sign(difference) / len(difference)
    value, gradient = jax.value_and_grad(masked_patch_l1)(
        f32(prediction), f32(target), jnp.asarray(mask)
    )
    np.testing.assert_allclose(value, total / count, rtol=1e-5)
    np.testing.assert_allclose(gradient, slopes / count, rtol=1e-5)
    assert float(masked_patch_l1(f32(prediction), f32(target), jnp.zeros((3, 8)))) == 0.0


def test_visible_patches_have_no_influence(data):
    prediction, target, mask = f32(data[0]), f32(data[1]), jnp.asarray(data[2])
    gradient = jax.grad(masked_patch_mse)(prediction, target, mask)
    assert not np.any(np.asarray(gradient)[~data[2]])
    assert np.all(np.any(np.asarray(gradient)[data[2]] != 0, axis=-1))


def test_normalised_targets_forget_brightness_and_contrast(data):
    prediction, target, mask = f32(data[0]), f32(data[1]), jnp.asarray(data[2])
    rng = np.random.default_rng(1)
    gain, shift = f32(rng.uniform(1, 3, size=(3, 8, 1))), f32(rng.normal(size=(3, 8, 1)))
    changed = masked_patch_mse(prediction, target * gain + shift, mask)
    np.testing.assert_allclose(changed, masked_patch_mse(prediction, target, mask), rtol=1e-4)


def test_constant_patch_is_a_zero_target():
    flat, mask = jnp.full((1, 2, 4), 0.7), jnp.ones((1, 2))
    assert float(masked_patch_mse(jnp.zeros((1, 2, 4)), flat, mask)) == pytest.approx(0, abs=1e-6)


def test_nothing_hidden_costs_nothing():
    value = masked_patch_mse(jnp.ones((1, 2, 4)), jnp.zeros((1, 2, 4)), jnp.zeros((1, 2)))
    assert float(value) == 0.0


def test_patches_of_one_value_cannot_be_normalised():
    one = jnp.ones((1, 2, 1))
    with pytest.raises(ValueError, match="normalize=False"):
        masked_patch_mse(one, one, jnp.ones((1, 2)))
