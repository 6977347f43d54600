"""The augmentation of patches: what it does to each, and that no patch sees another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.augment import augment_patches, drop_channels, fold_keys
from ssljax.augment.patches import _TONES, _WARPS, _tones, _warps

NOTHING = dict(operations=0, shear_p=0.0, jitter_p=0.0, gray_p=0.0)


def keys_for(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def patches_for(count, side=8, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.random((count, side, side, 3)), jnp.float32)


def test_a_patch_depends_on_its_key_and_itself_alone():
    patches = patches_for(16)
    change = jax.jit(augment_patches)
    whole = change(keys_for(16), patches)
    assert whole.shape == patches.shape
    assert 0 <= whole.min() <= whole.max() <= 1
    part = change(keys_for(16)[5:9], patches[5:9])
    np.testing.assert_allclose(part, whole[5:9], atol=1e-6)
    changed = jnp.max(jnp.abs(whole - patches), axis=(1, 2, 3))
    assert jnp.mean(changed > 0.01) > 0.8


def test_all_of_it_can_be_switched_off():
    patches = patches_for(4)
    np.testing.assert_array_equal(augment_patches(keys_for(4), patches, **NOTHING), patches)


def test_each_kind_of_change_is_drawn_as_often_as_it_should_be():
    patches = patches_for(2000, side=2)

    def share(**kind):
        change = jax.jit(lambda keys, x: augment_patches(keys, x, **(NOTHING | kind)))
        found = change(keys_for(2000), patches)
        return float(jnp.mean(jnp.any(jnp.abs(found - patches) > 1e-3, axis=(1, 2, 3))))

    assert share(shear_p=0.2) == pytest.approx(0.2, abs=0.04)
    assert share(jitter_p=0.8) == pytest.approx(0.8, abs=0.04)
    assert share(gray_p=0.25) == pytest.approx(0.25, abs=0.04)
    gray = augment_patches(keys_for(2000), patches, **(NOTHING | dict(gray_p=1.0)))
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])


def test_operations_on_values_are_those_of_pillow():
    x = np.asarray(patches_for(1)[0], np.float64)
    gray = (x @ np.array([0.2989, 0.587, 0.114]))[..., None]
    strength = 0.5
    share, factor = 0.75, 1.45
    levels = 2.0**7 - 1
    expected = {
        "autocontrast": (x - x.min((0, 1))) / (x.max((0, 1)) - x.min((0, 1))),
        "invert": 1 - x,
        "solarize": np.where(x >= share, 1 - x, x),
        "posterize": np.floor(x * levels) / levels,
        "contrast": np.clip(factor * x + (1 - factor) * gray.mean(), 0, 1),
        "color": np.clip(factor * x + (1 - factor) * gray, 0, 1),
        "brightness": np.clip(factor * x, 0, 1),
    }
    for number, name in enumerate(_TONES):
        arguments = keys_for(1), jnp.asarray(x[None], jnp.float32), jnp.array([number])
        found = np.asarray(_tones(*arguments, jnp.array([strength]))[0])
        if name == "cutout":  # 60 / 331 of 8 pixels, times 0.75, are one pixel.
            assert np.sum(np.any(found != x.astype(np.float32), axis=-1)) == 1
        else:
            np.testing.assert_allclose(found, expected[name], atol=1e-5, err_msg=name)
    flat = jnp.full((1, 4, 4, 3), 0.3)
    same = _tones(keys_for(1), flat, jnp.array([_TONES.index("autocontrast")]), jnp.array([0.0]))
    np.testing.assert_allclose(same, flat, atol=1e-6)


@pytest.mark.parametrize("name", _WARPS)
def test_warps_turn_about_the_centre_and_one_alone_is_applied(name):
    which = jnp.array([_WARPS.index(name), len(_WARPS)])
    matrices = np.asarray(_warps(which, jnp.array([1.0, 1.0]), 7, 9))
    np.testing.assert_allclose(matrices[1], np.eye(3), atol=1e-6)
    centre = np.array([4.0, 3.0, 1.0])
    shift = {"translate_x": [9 * 150 / 331, 0], "translate_y": [0, 7 * 150 / 331]}
    np.testing.assert_allclose(
        (matrices[0] @ centre - centre)[:2], shift.get(name, [0, 0]), atol=1e-5
    )
    linear = {
        "shear_x": [[1, 0.3], [0, 1]],
        "shear_y": [[1, 0], [0.3, 1]],
        "rotate": [[np.cos(np.pi / 6), -0.5], [0.5, np.cos(np.pi / 6)]],
    }
    np.testing.assert_allclose(matrices[0, :2, :2], linear.get(name, np.eye(2)), atol=1e-5)


def test_dropping_keeps_one_channel_each_as_often():
    patches = patches_for(3000, side=2) + 1.0
    found = np.asarray(drop_channels(keys_for(3000), patches, 0.5))
    kept = np.any(found != 0, axis=(1, 2))
    assert set(kept.sum(1)) == {1, 3}
    assert np.mean(kept.sum(1) == 1) == pytest.approx(0.5, abs=0.04)
    dropped = kept[kept.sum(1) == 1]
    np.testing.assert_allclose(dropped.mean(0), 1 / 3, atol=0.05)
    np.testing.assert_array_equal(found[found != 0], np.asarray(patches)[found != 0])
    gray = patches[..., :1]
    np.testing.assert_array_equal(drop_channels(keys_for(3000), gray, 1.0), gray)
    assert np.all(
        np.any(drop_channels(fold_keys(keys_for(9), 1), patches[:9], 1.0), axis=(1, 2)).sum(1) == 1
    )
