"""Homographies from moved corners, against OpenCV and a solver in float64."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ssljax.augment import at_pixel_centers, corner_homographies, invert, sample_corners, warp

HEIGHT, WIDTH = 48, 64


def keys_for(count):
    return jax.random.split(jax.random.key(0), count)


def drawn(count, *ranges):
    draw = jax.jit(lambda keys: sample_corners(keys, HEIGHT, WIDTH, *ranges))
    return np.asarray(draw(keys_for(count)))


@pytest.fixture(scope="module")
def corners():
    return drawn(200, 6, (0.8, 1.2))


@pytest.fixture(scope="module")
def matrices(corners):
    return np.asarray(jax.jit(corner_homographies, static_argnums=(1, 2))(corners, HEIGHT, WIDTH))


def test_the_map_is_that_of_a_solver_from_the_result_to_the_image(corners, matrices):
    image = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
    scale = np.array([[1, 1, 20], [1, 1, 20], [0.015, 0.015, 1]])
    for moved, matrix in zip(corners, matrices, strict=True):
        expected = cv2.getPerspectiveTransform(moved, image)
        np.testing.assert_allclose(matrix / scale, expected / scale, atol=2e-4)
    np.testing.assert_allclose(matrices[:, 2, 2], 1.0, rtol=1e-6)


def test_a_warp_is_that_of_opencv(matrices):
    # Smooth, as OpenCV may place its samples on a grid of 1/32 pixel.
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = (0.5 + 0.4 * np.sin(x / 40) * np.cos(y / 50)).astype(np.float32)

    @jax.jit
    def warped(matrices):
        centred = at_pixel_centers(matrices)
        both = jnp.stack([jnp.asarray(image), jnp.ones(image.shape)], axis=-1)
        return centred, warp(jnp.broadcast_to(both[None], (8, *both.shape)), centred)

    centred, got = (np.asarray(x) for x in warped(matrices[:8]))
    inside = got[..., 1] > 0.999
    assert 0.3 < np.mean(inside) < 1.0
    for matrix, result, seen in zip(centred, got[..., 0], inside, strict=True):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        matrix = matrix.astype(np.float64)
        expected = cv2.warpPerspective(image, matrix, (WIDTH, HEIGHT), flags=flags)
        np.testing.assert_allclose(result[seen], expected[seen], atol=1e-3)


def test_a_quarter_turn_and_the_identity_are_exact():
    side = np.asarray([[0, 0], [8, 0], [8, 8], [0, 8]], np.float32)
    images = np.random.default_rng(0).random((4, 8, 8, 2)).astype(np.float32)
    corners = np.stack([np.roll(side, -turns, axis=0) for turns in range(4)])
    turn = jax.jit(lambda i, c: warp(i, at_pixel_centers(corner_homographies(c, 8, 8))))
    for turns, turned in enumerate(turn(images, corners)):
        # The top left corner moves to the top right: clockwise.
        np.testing.assert_allclose(turned, np.rot90(images[turns], -turns), atol=1e-5)


def test_the_inverse_undoes(matrices):
    both = np.einsum("bij,bjk->bik", jax.jit(invert)(matrices), matrices)
    both = both / both[:, 2:, 2:]
    np.testing.assert_allclose(both, np.broadcast_to(np.eye(3), both.shape), atol=5e-4)


def test_corners_are_drawn_from_their_ranges(corners):
    still = drawn(2000, 0, (0.8, 1.2))
    across, down = still[:, 1] - still[:, 0], still[:, 3] - still[:, 0]
    turns = np.round(np.arctan2(across[:, 1], across[:, 0]) / (np.pi / 2)).astype(int) % 4
    assert stats.chisquare(np.bincount(turns, minlength=4)).pvalue > 1e-3
    level = turns == 0
    np.testing.assert_allclose(across[level, 0] / WIDTH, down[level, 1] / HEIGHT, rtol=1e-5)
    assert stats.kstest(across[level, 0] / WIDTH, "uniform", (0.8, 0.4)).pvalue > 1e-3
    np.testing.assert_allclose(still.mean(axis=1), [[WIDTH / 2, HEIGHT / 2]] * 2000, rtol=1e-5)
    moved = np.round(np.asarray(corners - still[:200]))
    np.testing.assert_allclose(corners - still[:200], moved, atol=1e-4)
    assert stats.chisquare(np.bincount((moved.ravel() + 6).astype(int), minlength=13)).pvalue > 1e-3
    unturned = drawn(50, 0, (1.0, 1.0), False)
    np.testing.assert_allclose(unturned[:, 0], np.zeros((50, 2)), atol=1e-5)


@pytest.mark.parametrize("shift", [-1, 12])
def test_shifts_that_could_fold_an_image_are_refused(shift):
    with pytest.raises(ValueError, match="less than a quarter of the smaller side"):
        sample_corners(keys_for(1), HEIGHT, WIDTH, shift)
    with pytest.raises(ValueError, match="scale must be"):
        sample_corners(keys_for(1), HEIGHT, WIDTH, 1, (1.2, 0.8))
