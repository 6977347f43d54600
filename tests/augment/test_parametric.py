"""Transformations are those that their parameters say, and these have the authors' statistics."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.augment import warp
from ssljax.augment.parametric import Affine, Projective

SIDE = 40


def keys_for(count):
    return jax.random.split(jax.random.key(0), count)


def smooth():
    y, x = np.mgrid[:SIDE, :SIDE]
    return (0.5 + 0.4 * np.sin(x / 40) * np.cos(y / 50)).astype(np.float32)


def transformed(kind, count=6):
    """Parameters, and an image transformed by them; where nothing is, it is -1."""

    @jax.jit
    def draw(keys):
        parameters = kind.sample(keys)
        images = jnp.broadcast_to(jnp.asarray(smooth())[None, :, :, None], (count, SIDE, SIDE, 1))
        seen = warp(jnp.ones_like(images), kind.matrices(parameters))
        warped = warp(images, kind.matrices(parameters))
        return parameters, jnp.where(seen > 0.999, warped, -1.0)[..., 0]

    return [np.asarray(x, np.float64) for x in draw(keys_for(count))]


def test_affine_parameters_are_those_of_the_image():
    kind = Affine(SIDE)
    for (cosine, sine, right, down, zoom, shear), found in zip(*transformed(kind), strict=True):
        # Forwards, about the centre: shear, turn counter-clockwise, zoom, shift.
        angle = np.deg2rad(30 * shear)
        sheared = np.array([[1, -np.sin(angle)], [0, np.cos(angle)]])
        linear = (1 + 0.3 * zoom) * np.array([[cosine, sine], [-sine, cosine]]) @ sheared
        shift = 0.2 * SIDE * np.array([right, down])
        np.testing.assert_allclose(shift, np.round(shift), atol=1e-5)
        centre = np.full(2, (SIDE - 1) / 2)
        forward = np.column_stack([linear, centre + shift - linear @ centre])
        expected = cv2.warpAffine(smooth(), forward, (SIDE, SIDE))
        inside = found >= 0
        assert inside.mean() > 0.2
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-3)


def test_projective_parameters_map_the_result_to_the_image():
    kind = Projective(SIDE)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    for parameters, found in zip(*transformed(kind), strict=True):
        coefficients = parameters * kind.std + kind.mean
        # Of pixels counted from the corner; OpenCV counts from the first one's centre.
        matrix = np.linalg.inv(half) @ np.append(coefficients, 1).reshape(3, 3) @ half
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        expected = cv2.warpPerspective(smooth(), matrix, (SIDE, SIDE), flags=flags)
        inside = found >= 0
        assert inside.mean() > 0.2
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-3)


def test_coefficients_have_the_mean_and_the_size_that_the_authors_measured():
    """`imagenet/dataloader.py`: of half a million draws of `save_homography.py`, at 224 pixels."""
    kind = Projective(
        224,
        mean=(0.0, 0.0, 112.0, 0.0, 0.0, 112.0, 6.4e-5, 6.4e-5),
        std=(0.75, 0.75, 118.0, 0.75, 0.75, 118.0, 7.75e-4, 7.75e-4),
    )
    drawn = np.asarray(jax.jit(kind.sample)(keys_for(8000)))
    np.testing.assert_allclose(drawn.std(axis=0), 1, atol=0.05)
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.06)


def test_affine_parameters_are_bounded_and_fill_their_ranges():
    drawn = np.asarray(jax.jit(Affine(32).sample)(keys_for(4000)))
    assert np.abs(drawn).max() <= 1
    variance = np.array([1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(drawn.var(axis=0), variance, atol=0.03)
    still = Affine(32, degrees=0.0, translate=0.0, scale=(1.0, 1.0), shear=0.0)
    identity = still.matrices(still.sample(keys_for(3)))
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), (3, 3, 3)), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shear": 90.0}, "less than 90"),
        ({"translate": -0.1}, "not be negative"),
        ({"scale": (1.0, 0.5)}, "0 < low <= high"),
    ],
)
def test_impossible_affine_ranges_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        Affine(32, **options)


def test_eight_coefficients_are_normalised():
    with pytest.raises(ValueError, match="each of 8 coefficients"):
        Projective(32, std=(1.0, 1.0))
