"""The U-Net keeps the size, sees far, and has ways past its halvings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import models


def test_a_pixel_is_seen_from_afar_and_in_its_place():
    net = models.UNet(channels=2, widths=(4, 6, 8))
    image = jax.random.normal(jax.random.key(0), (1, 32, 48, 3))
    variables = jax.jit(lambda key: net.init(key, image, False))(jax.random.key(1))
    apply = jax.jit(lambda variables, image: net.apply(variables, image, False))

    def whole(image):
        return apply(variables, image)

    assert whole(image).shape == (1, 32, 48, 2)
    moved = np.abs(whole(image.at[0, 16, 24].add(1.0)) - whole(image)).sum(axis=(0, 3))
    reach = np.argwhere(moved > 0)
    # Wider than the four convolutions of the finest level, which reach 4 pixels.
    assert reach[:, 0].min() < 16 - 8
    assert np.unravel_index(moved.argmax(), moved.shape) == pytest.approx((16, 24), abs=2)
    # With what is below the finest level dead, the way past it still carries the image.
    dead = jax.tree_util.tree_map_with_path(
        lambda path, x: jnp.zeros_like(x) if "enlarge" in str(path) else x, variables
    )
    assert np.std(apply(dead, image)) > 0.1 * np.std(whole(image))


def test_sides_that_do_not_halve_are_told():
    net = models.UNet(channels=2, widths=(4, 6, 8))
    with pytest.raises(ValueError, match="multiples of 4, and these are 32x30"):
        jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, 32, 30, 3)), False))
