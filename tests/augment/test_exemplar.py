"""The patches of a seed: where they are taken, and how their colours change."""

import colorsys
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from ssljax.augment.exemplar import (
    ExemplarPolicy,
    _cut,
    _scale_components,
    exemplar_patches,
    from_hsv,
    sample_anchors,
    sobel,
    to_hsv,
)

STILL = ExemplarPolicy(
    8,
    scale=(1.0, 1.0),
    shift=0.0,
    degrees=0.0,
    flip_p=0.0,
    pca=(1.0, 1.0),
    power=(1.0, 1.0),
    factor=(1.0, 1.0),
    offset=0.0,
    hue=0.0,
)


def keys_for(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def images_for(count, side=16, seed=0, channels=3):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.random((count, side, side, channels)), jnp.float32)


def test_the_gradient_is_sobels():
    image = np.asarray(images_for(1)[0], np.float64)
    gray = image @ np.array([0.2989, 0.587, 0.114])
    down, across = (ndimage.sobel(gray, axis, mode="nearest") / 4 for axis in (0, 1))
    expected = np.sqrt((down**2 + across**2) / 2)
    np.testing.assert_allclose(sobel(images_for(1))[0], expected, rtol=1e-4, atol=1e-6)


def test_anchors_lie_where_the_gradient_is_large():
    step = np.zeros((1, 9, 9, 3), np.float32)
    step[:, :, 6:] = 1.0  # The gradient is on the two columns beside the edge.
    many = jnp.broadcast_to(jnp.asarray(step), (400, 9, 9, 3))
    anchors = np.asarray(jax.jit(sample_anchors)(keys_for(400), many))
    assert set(anchors[:, 1]) == {5, 6}
    assert np.all(np.bincount(anchors[:, 0], minlength=9) > 20)
    flat = np.asarray(jax.jit(sample_anchors)(keys_for(400), jnp.ones((400, 9, 9, 3))))
    assert len(np.unique(flat, axis=0)) > 75


def test_without_changes_a_patch_is_the_square_about_its_anchor_inside_the_image():
    images = images_for(3)
    anchors = jnp.array([[8, 7], [0, 15], [3, 3]])
    found = _cut(STILL, keys_for(3), images, anchors)
    # Of an even size, it lies half a pixel beside a whole one: the mean of two.
    for number, (top, left) in enumerate([(4.5, 3.5), (0, 8), (0, 0)]):
        places = np.meshgrid(top + np.arange(8), left + np.arange(8), indexing="ij")
        for channel in range(3):
            plane = np.asarray(images[number, :, :, channel], np.float64)
            expected = ndimage.map_coordinates(plane, places, order=1)
            np.testing.assert_allclose(found[number, :, :, channel], expected, atol=1e-5)


def test_scale_turn_and_mirror_are_about_the_centre():
    images = images_for(2, side=17)
    anchors = jnp.full((2, 2), 8)
    policy = dataclasses.replace(STILL, size=9)
    plain = _cut(policy, keys_for(2), images, anchors)
    mirrored = _cut(dataclasses.replace(policy, flip_p=1.0), keys_for(2), images, anchors)
    np.testing.assert_allclose(mirrored, plain[:, :, ::-1], atol=1e-5)
    double = _cut(dataclasses.replace(policy, scale=(2.0, 2.0)), keys_for(2), images, anchors)
    np.testing.assert_allclose(double[:, ::2, ::2], images[:, 6:11, 6:11], atol=1e-5)
    half = _cut(dataclasses.replace(policy, scale=(0.5, 0.5)), keys_for(2), images, anchors)
    np.testing.assert_allclose(half, images[:, ::2, ::2], atol=1e-5)
    # A turn keeps the pixel in the middle, and a turn is another for each image.
    turned = _cut(dataclasses.replace(policy, degrees=90.0), keys_for(2), images, anchors)
    np.testing.assert_allclose(turned[:, 4, 4], plain[:, 4, 4], atol=1e-5)
    smooth = jnp.broadcast_to(jnp.linspace(0, 1, 17)[None, :, None, None], (64, 17, 17, 1))
    tilted = _cut(
        dataclasses.replace(policy, degrees=20.0), keys_for(64), smooth, jnp.full((64, 2), 8)
    )
    angles = np.degrees(
        np.arctan2(tilted[:, 4, 5, 0] - tilted[:, 4, 3, 0], tilted[:, 5, 4, 0] - tilted[:, 3, 4, 0])
    )
    assert 15 < np.abs(angles).max() <= 20.01
    assert angles.min() < -10
    assert angles.max() > 10


def test_beyond_the_border_the_image_is_mirrored():
    images = images_for(1, side=4)
    found = _cut(STILL, keys_for(1), images, jnp.array([[0, 0]]))
    padded = np.pad(images[0], ((2, 2), (2, 2), (0, 0)), mode="reflect")
    np.testing.assert_allclose(found[0], padded, atol=1e-5)


def test_patches_move_about_their_anchor_by_a_fifth_of_their_size():
    ramp = jnp.broadcast_to(jnp.arange(101.0)[None, :, None, None] / 100, (2000, 101, 101, 1))
    policy = dataclasses.replace(STILL, size=11, shift=0.2)
    found = _cut(policy, keys_for(2000), ramp, jnp.full((2000, 2), 50))
    moved = np.asarray(found[:, 5, 5, 0]) * 100 - 50
    assert np.std(moved) == pytest.approx(2.2, rel=0.08)
    assert np.mean(moved) == pytest.approx(0.0, abs=0.15)


def test_components_are_scaled_about_the_mean_the_largest_first():
    patches = images_for(2, side=6) * jnp.array([1.0, 0.3, 0.1]).reshape(1, 1, 1, 3)
    factors = jnp.array([[2.0, 1.0, 1.0], [0.5, 3.0, 0.7]])
    found = _scale_components(patches, factors)
    for patch, factor, changed in zip(np.asarray(patches, np.float64), factors, found, strict=True):
        pixels = patch.reshape(-1, 3)
        _, _, axes = np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
        parts = (pixels - pixels.mean(0)) @ axes.T * np.asarray(factor)
        expected = parts @ axes + pixels.mean(0)
        np.testing.assert_allclose(changed.reshape(-1, 3), expected, atol=1e-4)


def test_hsv_is_that_of_colorsys_there_and_back():
    colors = np.random.default_rng(0).random((50, 3))
    colors[:5] = [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0], [0, 0.2, 0.2]]
    expected = np.array([colorsys.rgb_to_hsv(*color) for color in colors])
    found = to_hsv(jnp.asarray(colors, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(from_hsv(found), colors, atol=1e-5)
    np.testing.assert_allclose(from_hsv(found + jnp.array([[-1.0, 0, 0]])), colors, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_patch_depends_on_its_key_image_and_anchor_alone(channels):
    policy = ExemplarPolicy(8)
    images, anchors = images_for(8, channels=channels), jnp.full((8, 2), 8)
    make = jax.jit(exemplar_patches, static_argnums=0)
    whole = make(policy, keys_for(8), images, anchors)
    assert whole.shape == (8, 8, 8, channels)
    part = make(policy, keys_for(8)[2:5], images[2:5], anchors[2:5])
    np.testing.assert_allclose(part, whole[2:5], atol=1e-4)
    np.testing.assert_allclose(whole.min((1, 2, 3)), 0.0, atol=1e-6)
    np.testing.assert_allclose(whole.max((1, 2, 3)), 1.0, atol=1e-6)
    flat = make(policy, keys_for(8), jnp.full_like(images, 0.4), anchors)
    assert np.all(np.isfinite(flat))


def test_ranges_that_are_none_are_refused():
    for changes in (dict(scale=(1.4, 0.7)), dict(pca=(0.0, 1.0)), dict(size=0), dict(hue=-0.1)):
        with pytest.raises(ValueError, match=r"must be|not below"):
            ExemplarPolicy(**({"size": 8} | changes))
