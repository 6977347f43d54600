"""Changes of tiles, against formulas in float64 and Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ssljax import augment

RNG = np.random.default_rng(0)


def keys(count, seed=0):
    return augment.example_keys(jax.random.key(seed), count)


def tiles(count, side=12):
    return jnp.asarray(RNG.uniform(size=(count, side, side, 3)), jnp.float32)


def test_one_channel_is_kept_and_the_others_are_weak_noise():
    before = tiles(300)
    after = np.asarray(augment.drop_colors(keys(300), before), np.float64)
    centred = np.asarray(before, np.float64)
    centred -= centred.mean(axis=(1, 2), keepdims=True)
    kept = np.array(
        [
            [np.allclose(a[..., c], b[..., c], atol=1e-6) for c in range(3)]
            for a, b in zip(after, centred, strict=True)
        ]
    )
    np.testing.assert_array_equal(kept.sum(axis=1), 1)
    assert np.all(np.abs(kept.sum(axis=0) - 100) < 40)
    noise = 255 * np.moveaxis(after, -1, 1)[~kept]
    assert np.abs(noise).max() <= 0.5
    # Uniform, with the variance of 1 / 12, and unlike from tile to tile.
    assert noise.var() == pytest.approx(1 / 12, rel=0.02)
    assert np.abs(np.corrcoef(noise.reshape(600, -1)) - np.eye(600)).max() < 0.5


def test_green_against_magenta_is_taken_out():
    before = tiles(4)
    after = np.asarray(augment.project_colors(before), np.float64)
    axis = np.array([-1.0, 2.0, -1.0])
    np.testing.assert_allclose(after @ axis, 0.0, atol=1e-6)
    along = (np.asarray(before, np.float64) @ axis)[..., None] * axis / 6
    np.testing.assert_allclose(after, np.asarray(before) - along, atol=1e-6)


def test_each_channel_of_each_tile_is_standardised():
    before = np.array(tiles(5))
    before[1] = 0.3  # As a float32, 0.3 has a mean that rounding moves.
    before[2, :, :, 1] = 0.7
    after = np.asarray(augment.standardize(jnp.asarray(before)))
    wide = before.astype(np.float64)
    std = wide.std(axis=(1, 2), keepdims=True)
    expected = (wide - wide.mean(axis=(1, 2), keepdims=True)) / np.where(std < 1e-6, 1, std)
    np.testing.assert_allclose(after, expected, atol=2e-5)
    assert np.abs(after[1]).max() < 1e-5


def test_tiles_are_brought_to_one_root_mean_square():
    before = augment.center(tiles(4)).at[2].set(0.0)
    after = np.asarray(augment.scale_to_rms(before, 50.0), np.float64)
    rms = np.sqrt((after**2).mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(rms, [50, 50, 0, 50], rtol=1e-5)


def test_a_third_of_the_tiles_is_made_smaller_and_as_large_again():
    side, least, count = 16, 4, 300
    before = tiles(count, side)
    after = np.asarray(augment.random_down_and_up(keys(count), before, least))
    changed = [i for i in range(count) if not np.array_equal(after[i], before[i])]
    assert len(changed) == pytest.approx(count / 3, abs=5 * np.sqrt(count * 2 / 9))
    used = []
    for i in changed:
        for between in range(least, side):
            bilinear = Image.Resampling.BILINEAR
            planes = [
                np.asarray(
                    Image.fromarray(np.asarray(before[i, :, :, c]))
                    .resize((between, between), bilinear)
                    .resize((side, side), bilinear)
                )
                for c in range(3)
            ]
            if np.allclose(after[i], np.stack(planes, axis=-1), atol=1e-4):
                used.append(between)
                break
    assert len(used) == len(changed)
    # The number of pixels is uniform, so that larger sides are likelier.
    mean = np.mean(np.sqrt(RNG.uniform(least**2, (side - 1) ** 2, 100000)).astype(int))
    assert np.mean(used) == pytest.approx(mean, abs=1.5)
    assert min(used) >= least
    assert max(used) < side


def test_what_cannot_be_is_refused():
    gray = jnp.zeros((2, 8, 8, 1))
    with pytest.raises(ValueError, match="3 channels, got 1"):
        augment.drop_colors(keys(2), gray)
    with pytest.raises(ValueError, match="cannot be made smaller, down to 8"):
        augment.random_down_and_up(keys(2), gray, 8)
