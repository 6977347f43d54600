"""Resizing of whole images, against Pillow and OpenCV."""

import inspect

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ssljax.augment import resize
from ssljax.augment.resample import interpolation_weights

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(11, 30), (50, 17), (64, 60)])
def test_resize_agrees_with_pillow_on_bytes(method, size):
    image = np.random.default_rng(0).integers(64, 192, (23, 31, 3), dtype=np.uint8)
    got = resize(jnp.asarray(image[None].astype(np.float32) / 255), size, method)
    expected = Image.fromarray(image).resize((size[1], size[0]), PILLOW[method])
    # Pillow rounds to whole bytes after each of its two passes. The values stay clear of the ends
    # of the range, where it clips after each of them too.
    np.testing.assert_allclose(255 * got[0], np.asarray(expected), atol=1.5)


@pytest.mark.parametrize("size", [(11, 30), (50, 17)])
def test_without_antialiasing_two_pixels_are_mixed_as_opencv_does(size):
    image = np.random.default_rng(0).random((23, 31, 3), dtype=np.float32)
    got = resize(jnp.asarray(image[None]), size, antialias=False)
    expected = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(got[0], expected, atol=1e-5)


def test_an_int_is_the_shorter_side():
    images = jax.random.uniform(jax.random.key(0), (1, 20, 33, 1))
    assert resize(images, 10).shape == (1, 10, 16, 1)
    assert resize(jnp.swapaxes(images, 1, 2), 10).shape == (1, 16, 10, 1)
    assert resize(images, 20) is images


def test_bilinear_resizing_leaves_the_range_of_values_alone():
    images = jnp.full((1, 6, 6, 1), 7.0)
    np.testing.assert_allclose(resize(images, 4), 7.0, rtol=1e-6)


def test_impossible_arguments_are_refused():
    images = jnp.zeros((1, 8, 8, 3))
    with pytest.raises(ValueError, match="size"):
        resize(images, 0)
    with pytest.raises(ValueError, match="interpolation"):
        # Unwrapped, as the type checker of the tests would be the first to object.
        inspect.unwrap(interpolation_weights)(jnp.zeros(1), jnp.ones(1), 4, 2, "nearest")
