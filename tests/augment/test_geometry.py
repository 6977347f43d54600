"""Flips and warps, against slicing, SciPy and OpenCV."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from ssljax.augment import affine_matrices, random_affine, random_flip, warp
from ssljax.augment.geometry import reflect, sample


def keys_for(count):
    return jax.random.split(jax.random.key(0), count)


def test_flip_mirrors_a_share_p():
    image = np.arange(12.0, dtype=np.float32).reshape(2, 3, 2)
    got = np.asarray(
        random_flip(keys_for(2000), jnp.tile(jnp.asarray(image)[None], (2000, 1, 1, 1)), 0.3)
    )
    flipped = np.all(got == image[None, :, ::-1], axis=(1, 2, 3))
    kept = np.all(got == image[None], axis=(1, 2, 3))
    assert np.all(flipped ^ kept)
    assert abs(np.mean(flipped) - 0.3) < 4 * np.sqrt(0.21 / 2000)


def test_no_flip_is_no_operation():
    images = jnp.ones((1, 2, 2, 1))
    assert random_flip(keys_for(1), images, 0.0) is images


def test_warp_samples_bilinearly_as_scipy_does():
    rng = np.random.default_rng(0)
    images = rng.random((4, 9, 12, 2))
    matrices = np.eye(3) + 0.15 * rng.standard_normal((4, 3, 3))
    matrices[:, 2] = [0, 0, 1]
    matrices[2:, 2, :2] = [0.01, -0.02]
    matrices[:, :2, 2] = 2 * rng.standard_normal((4, 2))
    got = jax.jit(warp, static_argnums=2)(
        jnp.asarray(images, jnp.float32), jnp.asarray(matrices, jnp.float32), 0.3
    )
    y, x = np.mgrid[:9, :12]
    for image, matrix, result in zip(images, matrices, got, strict=True):
        sx, sy, sw = np.einsum("ij,jhw->ihw", matrix, np.stack([x, y, np.ones_like(x)]))
        for channel in range(2):
            expected = ndimage.map_coordinates(
                image[..., channel], [sy / sw, sx / sw], order=1, mode="grid-constant", cval=0.3
            )
            np.testing.assert_allclose(result[..., channel], expected, atol=1e-5)


def test_angle_zoom_and_shift_are_those_of_opencv():
    size = 33
    y, x = np.mgrid[:size, :size]
    blob = np.exp(-((x - 20) ** 2 / 30 + (y - 14) ** 2 / 60)).astype(np.float32)
    degrees, shift, scale = 25.0, (3.0, -2.0), 1.3
    forward = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), degrees, scale)
    forward[:, 2] += shift
    matrices = affine_matrices(
        jnp.array([degrees]), jnp.array([shift]), jnp.array([scale]), size, size
    )
    expected = np.linalg.inv(np.vstack([forward, [0, 0, 1]]))
    np.testing.assert_allclose(matrices[0], expected, atol=1e-5)
    # OpenCV may place its samples on a grid of 1/32 pixel.
    warped = cv2.warpAffine(blob, forward, (size, size), flags=cv2.INTER_LINEAR)
    got = warp(jnp.asarray(blob)[None, :, :, None], matrices)
    np.testing.assert_allclose(got[0, :, :, 0], warped, atol=0.01)


def test_shear_turns_what_stands_and_keeps_what_lies():
    one = jnp.ones((1,))
    angles = np.deg2rad([30.0, 20.0])
    matrix = affine_matrices(30.0 * one, jnp.zeros((1, 2)), 1.2 * one, 9, 9, 20.0 * one)[0]
    forward = np.linalg.inv(np.asarray(matrix, np.float64))[:2, :2]
    # Down is y. Without the turn, (0, 1) goes a step to the left for a clockwise turn.
    turn = np.array(
        [[np.cos(angles[0]), np.sin(angles[0])], [-np.sin(angles[0]), np.cos(angles[0])]]
    )
    upright = turn @ [-np.sin(angles[1]), np.cos(angles[1])]
    np.testing.assert_allclose(forward @ [1, 0], 1.2 * turn @ [1, 0], atol=1e-5)
    np.testing.assert_allclose(forward @ [0, 1], 1.2 * upright, atol=1e-5)
    np.testing.assert_allclose(matrix @ jnp.array([4.0, 4.0, 1.0]), [4, 4, 1], atol=1e-5)


@pytest.mark.parametrize("border", ["constant", "reflect"])
def test_an_affine_warp_is_that_of_opencv(border):
    # Smooth, as OpenCV may place its samples on a grid of 1/32 pixel.
    y, x = np.mgrid[:40, :56]
    image = (0.5 + 0.4 * np.sin(x / 40) * np.cos(y / 50)).astype(np.float32)
    half, one = jnp.full((1,), 0.8), jnp.ones((1,))
    matrix = affine_matrices(-40.0 * one, jnp.array([[3.0, -5.0]]), half, 40, 56, 15.0 * one)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mode = {"constant": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101}[border]
    args = {"flags": flags, "borderMode": mode, "borderValue": 0.3}
    expected = cv2.warpAffine(image, np.asarray(matrix[0, :2], np.float64), (56, 40), **args)
    got = np.asarray(warp(jnp.asarray(image)[None, :, :, None], matrix, 0.3, border))[0, ..., 0]
    outside = np.all(np.isclose(expected, 0.3), axis=-1 if expected.ndim == 3 else ())
    assert (outside.sum() > 100) == (border == "constant")
    inside = ~ndimage.binary_dilation(outside, iterations=2)
    np.testing.assert_allclose(got[inside], expected[inside], atol=1e-3)
    seam = ~inside & ~ndimage.binary_erosion(outside, iterations=2)
    np.testing.assert_allclose(got[~inside & ~seam], 0.3, atol=1e-6)


def test_whole_shifts_and_the_identity_are_exact():
    images = jax.random.uniform(jax.random.key(0), (1, 5, 6, 3))
    still, one = jnp.zeros((1,)), jnp.ones((1,))
    identity = affine_matrices(still, jnp.zeros((1, 2)), one, 5, 6)
    np.testing.assert_array_equal(warp(images, identity), images)
    moved = warp(images, affine_matrices(still, jnp.array([[2.0, -1.0]]), one, 5, 6), 0.5)
    np.testing.assert_array_equal(moved[:, :4, 2:], images[:, 1:, :4])
    np.testing.assert_array_equal(moved[:, 4:], 0.5)
    np.testing.assert_array_equal(moved[:, :, :2], 0.5)


def test_random_affine_draws_uniformly_from_its_ranges():
    # Where the image is its own coordinates, the warped image shows the map that was applied.
    count, height, width = 1500, 41, 61
    y, x = np.mgrid[:height, :width].astype(np.float32)
    images = jnp.broadcast_to(jnp.asarray(np.stack([x, y], -1))[None], (count, height, width, 2))
    warped = jax.jit(
        lambda k, i: random_affine(k, i, 20.0, (0.1, 0.2), (0.8, 1.2))[:, 18:23, 28:33]
    )
    middle = np.asarray(warped(keys_for(count), images), np.float64)
    across = middle[:, 2, 3] - middle[:, 2, 1]
    angle = np.rad2deg(np.arctan2(across[:, 1], across[:, 0]))
    zoom = 2 / np.hypot(across[:, 0], across[:, 1])
    offset = middle[:, 2, 2] - np.array([30, 20])
    turn = np.deg2rad(angle)
    back = np.stack(
        [
            np.cos(turn) * offset[:, 0] + np.sin(turn) * offset[:, 1],
            -np.sin(turn) * offset[:, 0] + np.cos(turn) * offset[:, 1],
        ]
    )
    shift = -back * zoom
    assert stats.kstest(angle, "uniform", (-20, 40)).pvalue > 1e-3
    assert stats.kstest(zoom, "uniform", (0.8, 0.4)).pvalue > 1e-3
    assert stats.kstest(shift[0], "uniform", (-6.1, 12.2)).pvalue > 1e-3
    assert stats.kstest(shift[1], "uniform", (-8.2, 16.4)).pvalue > 1e-3
    assert np.all(np.abs(np.corrcoef([angle, zoom, *shift]) - np.eye(4)) < 0.1)


def test_impossible_arguments_are_refused():
    images = jnp.zeros((1, 4, 4, 1))
    with pytest.raises(ValueError, match="p must"):
        random_flip(keys_for(1), images, 2.0)
    with pytest.raises(ValueError, match="negative"):
        random_affine(keys_for(1), images, -1.0)
    with pytest.raises(ValueError, match="scale"):
        random_affine(keys_for(1), images, 1.0, scale=(0.0, 1.0))
    with pytest.raises(ValueError, match="border must be"):
        warp(images, jnp.eye(3)[None], border="wrap")


def test_places_are_read_bilinearly_and_fold_at_the_outermost_pixels():
    rng = np.random.default_rng(0)
    images = rng.random((2, 5, 7, 3)).astype(np.float32)
    x, y = rng.uniform(-20, 20, (2, 4, 6)), rng.uniform(-20, 20, (2, 4, 6))
    folded = [reflect(jnp.asarray(places, jnp.float32), size) for places, size in ((x, 7), (y, 5))]
    found = sample(jnp.asarray(images), *folded)
    for image, row, column, got in zip(images, y, x, found, strict=True):
        for channel in range(3):
            wanted = ndimage.map_coordinates(
                image[..., channel].astype(np.float64), [row, column], order=1, mode="mirror"
            )
            np.testing.assert_allclose(got[..., channel], wanted, atol=2e-5)
    np.testing.assert_array_equal(reflect(jnp.asarray([-1.5, 0.0, 0.3]), 1), 0.0)
