"""Gaussian blur, against OpenCV."""

import inspect

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ssljax.augment import equalize_sharpness, gaussian_blur, tile_keys


def keys_for(count):
    return jax.random.split(jax.random.key(0), count)


@pytest.mark.parametrize(
    ("shape", "kernel", "sigma"), [((12, 12), 3, 0.7), ((9, 14), 7, 0.1), ((6, 8), 11, 2.0)]
)
def test_blur_agrees_with_opencv(shape, kernel, sigma):
    image = np.random.default_rng(0).random((*shape, 3), dtype=np.float32)
    got = gaussian_blur(keys_for(1), jnp.asarray(image[None]), kernel, (sigma, sigma), p=1.0)
    expected = cv2.GaussianBlur(image, (kernel, kernel), sigma, borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(got[0], expected, atol=2e-6)


@pytest.mark.parametrize(("shape", "kernel", "sigma"), [((9, 14), 7, 1.3), ((6, 8), 11, 2.0)])
def test_zeros_may_lie_around_the_image(shape, kernel, sigma):
    image = np.random.default_rng(0).random((*shape, 3), dtype=np.float32)
    got = gaussian_blur(
        keys_for(1), jnp.asarray(image[None]), kernel, (sigma, sigma), p=1.0, padding="zeros"
    )
    expected = cv2.GaussianBlur(image, (kernel, kernel), sigma, borderType=cv2.BORDER_CONSTANT)
    np.testing.assert_allclose(got[0], expected, atol=2e-6)


@pytest.mark.parametrize(("height", "kernel"), [(20, 3), (39, 3), (40, 5)])
def test_the_kernel_is_a_tenth_of_the_height_made_odd(height, kernel):
    image = np.zeros((height, 30, 1), np.float32)
    image[height // 2, 15] = 1.0
    got = gaussian_blur(keys_for(1), jnp.asarray(image[None]), sigma=(2.0, 2.0), p=1.0)[0]
    assert np.count_nonzero(got) == kernel**2
    expected = cv2.GaussianBlur(image, (kernel, kernel), 2.0)
    np.testing.assert_allclose(got[..., 0], expected, atol=1e-6)


def test_each_image_has_a_width_of_its_own_from_the_range():
    impulse = jnp.zeros((1000, 7, 7, 1)).at[:, 3, 3].set(1.0)
    blur = jax.jit(lambda keys, x: gaussian_blur(keys, x, 3, (0.5, 2.0), p=0.6))
    got = np.asarray(blur(keys_for(1000), impulse), np.float64)
    got = got[got[:, 3, 3, 0] < 1]
    sigma = 1 / np.sqrt(2 * np.log(got[:, 3, 3, 0] / got[:, 3, 4, 0]))
    assert stats.kstest(sigma, "uniform", (0.5, 1.5)).pvalue > 1e-3


def test_a_share_p_is_blurred_and_the_rest_left_exactly():
    images = jax.random.uniform(jax.random.key(1), (1000, 4, 4, 1))
    got = jax.jit(lambda keys, x: gaussian_blur(keys, x, 3, (1.0, 1.0), p=0.3))(
        keys_for(1000), images
    )
    same = np.all(np.asarray(got) == np.asarray(images), axis=(1, 2, 3))
    assert abs(np.mean(same) - 0.7) < 4 * np.sqrt(0.21 / 1000)


def test_no_blur_is_no_operation():
    images = jnp.ones((1, 19, 19, 1))
    assert gaussian_blur(keys_for(1), images, p=1.0) is images
    assert gaussian_blur(keys_for(1), images, 5, p=0.0) is images


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kernel_size": 4}, "odd"),
        ({"kernel_size": 17}, "too large"),
        ({"sigma": (0.0, 1.0)}, "sigma"),
        ({"sigma": (2.0, 1.0)}, "sigma"),
        ({"p": -0.1}, "p must"),
    ],
)
def test_impossible_arguments_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        gaussian_blur(keys_for(1), jnp.ones((1, 8, 8, 1)), **arguments)


def test_an_unknown_padding_is_refused():
    # Unwrapped, as the type checker of the tests would be the first to object.
    with pytest.raises(ValueError, match="padding"):
        inspect.unwrap(gaussian_blur)(keys_for(1), jnp.ones((1, 8, 8, 1)), padding="black")


def test_every_part_is_blurred_by_a_width_of_its_own():
    spike = jnp.zeros((100, 3, 13, 13, 1)).at[:, :, 6, 6].set(1.0)
    keys = tile_keys(keys_for(100), 3)
    got = np.asarray(jax.jit(equalize_sharpness, static_argnums=2)(keys, spike, (0.1, 1.0)))
    np.testing.assert_allclose(got.sum((2, 3, 4)), 1.0, rtol=1e-5)
    # Of a Gaussian that is cut off at three times the widest sigma.
    ratio = got[:, :, 6, 7, 0] / got[:, :, 6, 6, 0]
    sigma = np.sqrt(-0.5 / np.log(np.maximum(ratio, 1e-30)))
    assert stats.kstest(np.maximum(sigma, 0.1).ravel(), "uniform", (0.1, 0.9)).pvalue > 1e-3
    assert np.abs(np.corrcoef(sigma.T) - np.eye(3)).max() < 0.4
    assert equalize_sharpness(keys, spike, ()) is spike


def test_noise_of_each_part_is_added_after_the_blur():
    keys, step = tile_keys(keys_for(2), 3), jnp.zeros((2, 3, 24, 24, 1)).at[:, :, 12:].set(1.0)
    equalize = jax.jit(equalize_sharpness, static_argnums=(2, 3))
    clean = equalize(keys, step, (1.0, 2.0), 0.0)
    added = np.asarray(equalize(keys, step, (1.0, 2.0), 0.05) - clean).reshape(6, -1)
    np.testing.assert_allclose(added.std(axis=1), 0.05, rtol=5 / np.sqrt(2 * 24**2))
    assert np.abs(np.corrcoef(added) - np.eye(6)).max() < 5 / 24
    alone = equalize(keys, step, (), 0.05) - step
    np.testing.assert_allclose(alone, added.reshape(step.shape), atol=1e-6)


@pytest.mark.parametrize("sigma", [(1.0,), (0.0, 1.0), (2.0, 1.0)])
def test_an_impossible_range_is_refused(sigma):
    with pytest.raises(ValueError, match="0 < low <= high"):
        equalize_sharpness(tile_keys(keys_for(1), 1), jnp.zeros((1, 1, 8, 8, 1)), sigma)
    with pytest.raises(ValueError, match="noise must not be negative"):
        equalize_sharpness(tile_keys(keys_for(1), 1), jnp.zeros((1, 1, 8, 8, 1)), (), -0.1)
