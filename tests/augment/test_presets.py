"""The views of well-known methods have the numbers of their papers."""

import pytest

from ssljax.augment import presets


def jitter(policy):
    return policy.brightness, policy.contrast, policy.saturation, policy.hue


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_simclr(strength):
    policy = presets.simclr(224, strength)
    assert jitter(policy) == pytest.approx((0.8 * strength,) * 3 + (0.2 * strength,))
    assert (policy.jitter_p, policy.gray_p, policy.blur_p, policy.flip_p) == (0.8, 0.2, 0.5, 0.5)
    assert (policy.crop_scale, policy.blur_sigma) == ((0.08, 1.0), (0.1, 2.0))
    assert (policy.solarize_p, policy.mean) == (0.0, None)
    assert (policy.contrast_mode, policy.blur_padding) == ("tensorflow", "zeros")
    assert presets.simclr(32, blur=False).blur_p == 0.0


def test_byol():
    first, second = presets.byol(224, original=True)
    for policy in (first, second):
        assert jitter(policy) == (0.4, 0.4, 0.2, 0.1)
        assert (policy.jitter_p, policy.gray_p, policy.brightness_mode) == (0.8, 0.2, "additive")
        assert (policy.contrast_mode, policy.blur_padding) == ("tensorflow", "zeros")
        assert (policy.crop_scale, policy.interpolation) == ((0.08, 1.0), "bicubic")
    assert (first.blur_p, first.solarize_p) == (1.0, 0.0)
    assert (second.blur_p, second.solarize_p) == (0.1, 0.2)


def test_those_that_came_after_byol_have_torchvisions_colours():
    first, _ = presets.byol(224, least_crop=0.2)
    assert (first.brightness_mode, first.crop_scale) == ("multiplicative", (0.2, 1.0))
    for policy in (first, presets.moco_v2(224), presets.swav(96, (0.05, 0.14))):
        assert (policy.contrast_mode, policy.blur_padding) == ("torchvision", "reflect")


def test_moco():
    first, second = presets.moco_v1(224), presets.moco_v2(224)
    assert jitter(first) == (0.4, 0.4, 0.4, 0.4)
    assert jitter(second) == (0.4, 0.4, 0.4, 0.1)
    assert (first.jitter_p, first.gray_p, first.blur_p) == (1.0, 0.2, 0.0)
    assert (second.jitter_p, second.gray_p, second.blur_p) == (0.8, 0.2, 0.5)
    assert first.crop_scale == second.crop_scale == (0.2, 1.0)
    assert second.blur_sigma == (0.1, 2.0)


def test_swav():
    policy = presets.swav(96, (0.05, 0.14))
    assert jitter(policy) == (0.8, 0.8, 0.8, 0.2)
    assert (policy.jitter_p, policy.gray_p, policy.blur_p, policy.blur_kernel) == (
        0.8,
        0.2,
        0.5,
        23,
    )
    assert (policy.size, policy.crop_scale, policy.solarize_p) == (96, (0.05, 0.14), 0.0)


def test_dino():
    policy = presets.dino(224, (0.4, 1.0), 0.1, 0.2)
    assert jitter(policy) == (0.4, 0.4, 0.2, 0.1)
    assert (policy.jitter_p, policy.gray_p, policy.interpolation) == (0.8, 0.2, "bicubic")
    assert (policy.crop_scale, policy.blur_p, policy.solarize_p) == ((0.4, 1.0), 0.1, 0.2)
    assert policy.blur_sigma == (0.1, 2.0)
