"""Colour spaces against scikit-image, there and back, and slopes at black."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import color as skimage_color

from ssljax.ops import color


@pytest.fixture(scope="module")
def cube():
    """All colours of a grid over the sRGB cube, its corners and its darkest edge among them."""
    levels = np.array([0, 1, 3, 8, 10, 11, 40, 100, 128, 200, 254, 255]) / 255
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)


def f32(x):
    return jnp.asarray(x, jnp.float32)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("srgb_to_lab", skimage_color.rgb2lab),
        ("xyz_to_lab", skimage_color.xyz2lab),
    ],
)
def test_colours_are_those_of_scikit_image(cube, name, reference):
    np.testing.assert_allclose(getattr(color, name)(f32(cube)), reference(cube), atol=1e-3)


def test_the_whole_way_to_xyz_is_that_of_scikit_image(cube):
    found = color.linear_to_xyz(color.srgb_to_linear(f32(cube)))
    np.testing.assert_allclose(found, skimage_color.rgb2xyz(cube), atol=1e-5)


def test_lab_is_shown_as_by_scikit_image_and_clipped_where_a_screen_ends():
    rng = np.random.default_rng(0)
    lab = rng.uniform((5, -60, -60), (100, 60, 60), (500, 3))
    # Scikit-image takes negative Z for 0, and thereby changes red.
    lab = lab[lab[:, 2] < 200 * (lab[:, 0] + 16) / 116]
    expected = skimage_color.lab2rgb(lab)
    found = np.asarray(color.lab_to_srgb(f32(lab)))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found.min() == 0.0
    assert found.max() == pytest.approx(1.0)


def test_ways_back_are_inverse(cube):
    for there, back in (
        (color.srgb_to_linear, color.linear_to_srgb),
        (color.linear_to_xyz, color.xyz_to_linear),
        (color.xyz_to_lab, color.lab_to_xyz),
        (color.srgb_to_lab, color.lab_to_srgb),
    ):
        np.testing.assert_allclose(back(there(f32(cube))), cube, atol=2e-5)


def test_whole_images_are_converted_pixel_by_pixel(cube):
    images = f32(cube[:1728].reshape(3, 24, 24, 3))
    found = color.srgb_to_lab(images)
    np.testing.assert_array_equal(found.reshape(-1, 3), color.srgb_to_lab(f32(cube)))


@pytest.mark.parametrize("there", [color.srgb_to_lab, color.lab_to_srgb])
def test_slopes_are_finite_and_right_at_black_and_everywhere(there):
    colors = f32([[0, 0, 0], [0.02, 0, 0.9], [1e-4, 0.5, 0], [0.04045, 0.6, 0.8]])
    if there is color.lab_to_srgb:
        colors = color.srgb_to_lab(colors).at[0].set(0.0)
    slopes = jax.vmap(jax.jacrev(there))(colors)
    assert np.all(np.isfinite(slopes))
    np.testing.assert_allclose(slopes, jax.vmap(jax.jacfwd(there))(colors), rtol=1e-4, atol=1e-4)
    if there is color.srgb_to_lab:
        # At black all curves are straight: L = 116 * 7.787 / 12.92 * Y, to the last share.
        expected = 116 * 7.787 / 12.92 * np.array([0.212671, 0.715160, 0.072169])
        np.testing.assert_allclose(slopes[0, 0], expected, rtol=1e-4)
