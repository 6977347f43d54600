"""Colour operations, against NumPy in float64, colorsys and Pillow."""

import colorsys
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from ssljax.augment import color_jitter, random_grayscale, solarize
from ssljax.augment.color import apply_color_jitter, sample_color_jitter

NAMES = ("brightness", "contrast", "saturation", "hue")


def keys_for(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def gray(image):
    return image @ np.array([0.2989, 0.587, 0.114])


def turn_hue(image, turns):
    def pixel(rgb):
        hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
        return colorsys.hsv_to_rgb((hue + turns) % 1.0, saturation, value)

    return np.apply_along_axis(pixel, -1, image)


def saturate(image, factor):
    def pixel(rgb):
        hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
        return colorsys.hsv_to_rgb(hue, min(factor * saturation, 1.0), value)

    return np.apply_along_axis(pixel, -1, image)


REFERENCE = {
    "brightness": lambda x, f: f * x,
    "contrast": lambda x, f: f * x + (1 - f) * gray(x).mean(),
    "saturation": lambda x, f: f * x + (1 - f) * gray(x)[..., None],
    "hue": turn_hue,
}
OF_TENSORFLOW = REFERENCE | {
    "contrast": lambda x, f: f * x + (1 - f) * x.mean(axis=(0, 1)),
    "saturation": saturate,
}


@pytest.mark.parametrize(
    ("mode", "reference"), [("torchvision", REFERENCE), ("tensorflow", OF_TENSORFLOW)]
)
@pytest.mark.parametrize("names", [NAMES, ("contrast", "hue"), ("brightness", "saturation")])
def test_every_order_agrees_with_the_operations_one_by_one(names, mode, reference):
    orders = list(itertools.permutations(names))
    rng = np.random.default_rng(0)
    images = rng.random((len(orders), 4, 5, 3))
    factors = {name: rng.uniform(0.2, 1.8, len(orders)) for name in names}
    if "hue" in names:
        factors["hue"] = rng.uniform(-0.5, 0.5, len(orders))
    positions = {name: np.array([order.index(name) for order in orders]) for name in names}

    got = jax.jit(apply_color_jitter, static_argnames="contrast_mode")(
        jnp.asarray(images, jnp.float32),
        {name: jnp.asarray(value, jnp.float32) for name, value in factors.items()},
        {name: jnp.asarray(value, jnp.int32) for name, value in positions.items()},
        contrast_mode=mode,
    )
    for i, order in enumerate(orders):
        expected = images[i]
        for name in order:
            expected = np.clip(reference[name](expected, factors[name][i]), 0, 1)
        np.testing.assert_allclose(got[i], expected, atol=2e-6)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.7, 100.0])
def test_saturation_of_grey_black_white_and_pure_colours(factor):
    corners = np.array(list(itertools.product([0.0, 0.4, 1.0], repeat=3)))
    image = corners.reshape(1, 1, 27, 3)
    got = apply_color_jitter(
        jnp.asarray(image, jnp.float32),
        {"saturation": jnp.full((1,), factor, jnp.float32)},
        {"saturation": jnp.zeros((1,), jnp.int32)},
        contrast_mode="tensorflow",
    )
    np.testing.assert_allclose(got, saturate(image, factor), atol=1e-6)


def test_hue_of_grey_black_white_and_pure_colours():
    corners = np.array(list(itertools.product([0.0, 0.4, 1.0], repeat=3)))
    image = corners.reshape(1, 1, 27, 3)
    for turns in (-0.5, -1 / 3, -0.1, 0.0, 1 / 6, 0.5):
        got = apply_color_jitter(
            jnp.asarray(image, jnp.float32),
            {"hue": jnp.full((1,), turns, jnp.float32)},
            {"hue": jnp.zeros((1,), jnp.int32)},
        )
        np.testing.assert_allclose(got, turn_hue(image, turns), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.7])
def test_blends_agree_with_pillow(name, enhance, factor):
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    got = apply_color_jitter(
        jnp.asarray(image[None].astype(np.float32) / 255),
        {name: jnp.full((1,), factor, jnp.float32)},
        {name: jnp.zeros((1,), jnp.int32)},
    )
    expected = enhance(Image.fromarray(image)).enhance(factor)
    # Pillow rounds the grey level to a whole byte, then truncates the result to one.
    np.testing.assert_allclose(255 * got[0], np.asarray(expected), atol=1.6)


def test_additive_brightness_adds():
    images = np.random.default_rng(0).random((3, 4, 4, 3))
    amount = np.array([-0.4, 0.0, 0.7])
    got = apply_color_jitter(
        jnp.asarray(images, jnp.float32),
        {"brightness": jnp.asarray(amount, jnp.float32)},
        {"brightness": jnp.zeros((3,), jnp.int32)},
        "additive",
    )
    expected = np.clip(images + amount[:, None, None, None], 0, 1)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_all_orders_are_equally_likely():
    strengths = dict.fromkeys(NAMES, 0.4)
    _, positions = jax.jit(lambda keys: sample_color_jitter(keys, strengths))(keys_for(12000))
    orders = np.stack([np.asarray(positions[name]) for name in NAMES], axis=1)
    found, counts = np.unique(orders, axis=0, return_counts=True)
    assert [tuple(order) for order in found] == list(itertools.permutations(range(4)))
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("mode", "bounds"),
    [
        ("multiplicative", [(0.0, 2.2), (0.6, 1.4), (0.2, 1.8), (-0.1, 0.1)]),
        ("additive", [(-1.2, 1.2), (0.6, 1.4), (0.2, 1.8), (-0.1, 0.1)]),
    ],
)
def test_factors_are_uniform_and_independent_of_each_other(mode, bounds):
    strengths = dict(zip(NAMES, (1.2, 0.4, 0.8, 0.1), strict=True))
    factors, positions = sample_color_jitter(keys_for(3000), strengths, mode)
    for name, (low, high) in zip(NAMES, bounds, strict=True):
        drawn = np.asarray(factors[name])
        assert stats.kstest(drawn, "uniform", (low, high - low)).pvalue > 1e-3
    columns = np.stack([*factors.values(), *positions.values()])[:7]
    correlation = np.corrcoef(columns) - np.eye(7)
    # Places exclude each other, so they are correlated by -1/3 among themselves.
    assert np.all(np.abs(correlation[:4]) < 0.08)


def test_jitter_changes_a_share_p_of_the_images_and_leaves_the_rest_exactly():
    images = jnp.tile(jax.random.uniform(jax.random.key(0), (1, 3, 3, 3)), (2000, 1, 1, 1))
    jitter = jax.jit(lambda keys, x: color_jitter(keys, x, 0.4, 0.4, 0.4, 0.1, p=0.3))
    got = np.asarray(jitter(keys_for(2000), images))
    same = np.all(got == np.asarray(images), axis=(1, 2, 3))
    assert abs(np.mean(same) - 0.7) < 4 * np.sqrt(0.21 / 2000)
    assert got.min() >= 0.0
    assert got.max() <= 1.0


def test_jitter_applies_what_it_samples():
    images = jax.random.uniform(jax.random.key(0), (64, 4, 4, 3))
    got = np.asarray(color_jitter(keys_for(64), images, 0.5, 0.0, 0.0, 0.0, p=1.0))
    x = np.asarray(images)
    factor = np.array([(g / i)[g < 1].mean() for g, i in zip(got, x, strict=True)])
    np.testing.assert_allclose(got, np.clip(factor[:, None, None, None] * x, 0, 1), atol=1e-5)
    assert factor.min() >= 0.5
    assert factor.max() <= 1.5
    assert factor.std() > 0.2


def test_what_has_no_strength_is_not_compiled():
    images, keys = jnp.full((2, 4, 4, 3), 0.5), keys_for(2)
    assert color_jitter(keys, images, 0.0, 0.0, 0.0, 0.0) is images
    assert color_jitter(keys, images, 0.4, 0.4, 0.4, 0.1, p=0.0) is images
    assert random_grayscale(keys, images, 0.0) is images
    assert solarize(keys, images, 0.0) is images

    def operations(*strengths):
        return str(jax.make_jaxpr(lambda k, x: color_jitter(k, x, *strengths))(keys, images))

    assert "floor" in operations(0.4, 0.4, 0.4, 0.1)
    assert "floor" not in operations(0.4, 0.4, 0.4, 0.0)
    assert "reduce_sum" in operations(0.0, 0.4, 0.0, 0.0)
    assert "reduce_sum" not in operations(0.4, 0.0, 0.4, 0.0)


def test_grey_images_have_brightness_and_contrast_only():
    images, keys = jax.random.uniform(jax.random.key(0), (8, 4, 4, 1)), keys_for(8)
    assert color_jitter(keys, images, 0.0, 0.0, 0.8, 0.2) is images
    assert random_grayscale(keys, images, 1.0) is images
    got = np.asarray(color_jitter(keys, images, 0.0, 0.4, 0.8, 0.2, p=1.0))
    x = np.asarray(images)
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    factor = ((got - mean) * (x - mean)).mean(axis=(1, 2, 3)) / ((x - mean) ** 2).mean((1, 2, 3))
    expected = mean + factor[:, None, None, None] * (x - mean)
    np.testing.assert_allclose(got, expected.clip(0, 1), atol=0.08)
    assert got.shape == (8, 4, 4, 1)


def test_grayscale_keeps_the_channels_and_the_luma():
    images = np.random.default_rng(0).random((1000, 2, 3, 3))
    got = np.asarray(random_grayscale(keys_for(1000), jnp.asarray(images, jnp.float32), 0.2))
    is_gray = np.all(got == got[..., :1], axis=(1, 2, 3))
    assert abs(np.mean(is_gray) - 0.2) < 4 * np.sqrt(0.16 / 1000)
    np.testing.assert_allclose(got[is_gray][..., 0], gray(images[is_gray]), atol=1e-6)
    np.testing.assert_array_equal(got[~is_gray], images[~is_gray].astype(np.float32))


@pytest.mark.parametrize("threshold", [0, 100, 128])
def test_solarize_agrees_with_pillow(threshold):
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    x = jnp.asarray(image[None, :, :, None].astype(np.float32) / 255)
    got = solarize(keys_for(1), x, 1.0, threshold / 255)
    expected = np.asarray(ImageOps.solarize(Image.fromarray(image), threshold))
    np.testing.assert_allclose(255 * got[0, :, :, 0], expected, atol=1e-4)


def test_solarize_is_at_the_threshold_and_for_a_share_p():
    x = jnp.full((1000, 1, 1, 1), 0.75)
    got = np.asarray(solarize(keys_for(1000), x, 0.2, threshold=0.75))
    assert abs(np.mean(got == 0.25) - 0.2) < 4 * np.sqrt(0.16 / 1000)
    assert np.all((got == 0.25) | (got == 0.75))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"p": 1.5}, "p must"),
        ({"brightness": -0.1}, "brightness"),
        ({"contrast": float("nan")}, "contrast"),
        ({"hue": 0.6}, "half a turn"),
    ],
)
def test_impossible_strengths_are_refused(change, match):
    arguments = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1} | change
    with pytest.raises(ValueError, match=match):
        color_jitter(keys_for(1), jnp.zeros((1, 2, 2, 3)), **arguments)


def test_an_unknown_mode_is_refused():
    # Unwrapped, as the type checker of the tests would be the first to object.
    jitter = inspect.unwrap(color_jitter)
    with pytest.raises(ValueError, match="brightness_mode"):
        jitter(keys_for(1), jnp.zeros((1, 2, 2, 3)), 0.4, 0.4, 0.4, 0.1, 0.8, "sideways")
    with pytest.raises(ValueError, match="contrast_mode"):
        jitter(keys_for(1), jnp.zeros((1, 2, 2, 3)), 0.4, 0.4, 0.4, 0.1, contrast_mode="opencv")


def test_other_numbers_of_channels_are_refused():
    images = jnp.zeros((1, 2, 2, 4))
    with pytest.raises(ValueError, match="channels"):
        color_jitter(keys_for(1), images, 0.4, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="channels"):
        random_grayscale(keys_for(1), images)
