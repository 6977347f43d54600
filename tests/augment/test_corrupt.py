"""Noise of each image by its own key, and masks of the wanted cover."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import augment

GREY = jnp.full((4, 24, 24, 3), 0.5)
NOISES = {
    "gaussian": augment.gaussian_noise,
    "masking": augment.masking_noise,
    "salt_and_pepper": augment.salt_and_pepper,
}


@pytest.mark.parametrize("name", NOISES)
def test_what_happens_to_an_image_is_its_keys_alone(name):
    keys = augment.example_keys(jax.random.key(0), 4)
    whole = NOISES[name](keys, GREY, 0.3)
    assert np.array_equal(NOISES[name](keys[2:3], GREY[2:3], 0.3), whole[2:3])
    assert not np.array_equal(whole[0], whole[1])
    assert np.array_equal(NOISES[name](keys, GREY, 0.0), GREY)


def test_noise_has_the_strength_that_is_asked_for():
    keys = augment.example_keys(jax.random.key(1), 4)
    noise = np.asarray(augment.gaussian_noise(keys, GREY, 0.2) - GREY, np.float64)
    count = noise.size
    assert abs(noise.mean()) < 4 * 0.2 / np.sqrt(count)
    assert noise.std() == pytest.approx(0.2, rel=4 / np.sqrt(2 * count))
    share = 4 * np.sqrt(0.3 * 0.7 / count)
    hidden = np.asarray(augment.masking_noise(keys, GREY, 0.3))
    assert set(np.unique(hidden)) == {0.0, 0.5}
    assert np.mean(hidden == 0) == pytest.approx(0.3, abs=share)
    peppered = np.asarray(augment.salt_and_pepper(keys, GREY, 0.3))
    assert set(np.unique(peppered)) == {0.0, 0.5, 1.0}
    for value in (0.0, 1.0):
        assert np.mean(peppered == value) == pytest.approx(0.15, abs=share)


def test_the_centre_is_a_square():
    mask = np.asarray(augment.center_mask(8, 4))
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:6] = True
    assert np.array_equal(mask, expected)
    for hole in (0, 8, 3):
        with pytest.raises(ValueError, match="does not lie in the middle of 8"):
            augment.center_mask(8, hole)


@pytest.mark.parametrize(("side", "resolution"), [(128, 0.06), (32, 0.24)])
def test_regions_cover_a_fifth_to_three_tenths(side, resolution):
    draw = jax.jit(jax.vmap(lambda key: augment.random_region_mask(key, side, resolution)))
    masks = np.asarray(draw(jax.random.split(jax.random.key(0), 40)))
    cover = masks.mean(axis=(1, 2))
    assert cover.min() > 0.2
    assert cover.max() < 0.3
    # Every place is hidden about as often as any other, the borders too.
    often = masks.mean(axis=0)
    assert often[:4].mean() == pytest.approx(cover.mean(), abs=0.12)
    assert often[:, -4:].mean() == pytest.approx(cover.mean(), abs=0.12)
    # Regions, not specks: few neighbours differ, as cells are many pixels wide.
    assert np.mean(masks[:, 1:] != masks[:, :-1]) < 2.5 * resolution


def test_a_cover_that_is_never_met_is_nearly_met():
    draw = jax.jit(lambda key: augment.random_region_mask(key, 32, 0.24, cover=(0.249, 0.2491)))
    mask = draw(jax.random.key(0))
    assert float(jnp.mean(mask)) == pytest.approx(0.249, abs=0.02)


def test_impossible_noise_is_refused():
    keys = augment.example_keys(jax.random.key(0), 4)
    with pytest.raises(ValueError, match="must not be negative"):
        augment.gaussian_noise(keys, GREY, -0.1)
    for noise in (augment.masking_noise, augment.salt_and_pepper):
        with pytest.raises(ValueError, match="must lie in"):
            noise(keys, GREY, 1.5)
