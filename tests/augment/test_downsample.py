"""Halved images, against Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ssljax.augment import FILTERS, halve

PILLOW = {"area": Image.Resampling.BOX} | {
    name: Image.Resampling[name.upper()] for name in FILTERS if name != "area"
}


@pytest.mark.parametrize(("height", "width"), [(16, 24), (8, 2)])
def test_every_image_is_halved_by_its_filter_as_by_pillow(height, width):
    images = np.random.default_rng(0).random((10, height, width, 2)).astype(np.float32)
    choice = np.arange(10) % 5
    small = jax.jit(halve)(jnp.asarray(images), jnp.asarray(choice))
    assert small.shape == (10, height // 2, width // 2, 2)
    for image, name, result in zip(images, np.array(FILTERS)[choice], small, strict=True):
        for channel in range(2):
            whole = Image.fromarray(image[..., channel])
            expected = whole.resize((width // 2, height // 2), PILLOW[name])
            np.testing.assert_allclose(result[..., channel], expected, atol=1e-5, err_msg=name)


def test_the_choice_is_among_the_filters_that_are_asked_for():
    images = jnp.asarray(np.random.default_rng(0).random((2, 8, 8, 1)), jnp.float32)
    few = halve(images, jnp.array([1, 0]), ("nearest", "lanczos"))
    np.testing.assert_array_equal(few, halve(images, jnp.array([4, 0])))
    np.testing.assert_array_equal(few[1], images[1, 1::2, 1::2])


def test_odd_images_and_unknown_filters_are_refused():
    with pytest.raises(ValueError, match="8x7 pixels cannot be halved"):
        halve(jnp.zeros((1, 8, 7, 1)), jnp.zeros(1, jnp.int32))
    with pytest.raises(ValueError, match="no filter 'box'; there are nearest, area"):
        halve(jnp.zeros((1, 8, 8, 1)), jnp.zeros(1, jnp.int32), ("box",))
