"""Peak signal-to-noise ratio and structural similarity are scikit-image's."""

import jax.numpy as jnp
import numpy as np
import pytest
from skimage import color
from skimage import metrics as reference

from ssljax.metrics import decibels, luma, psnr, ssim, without_border


def pair(seed, channels=3, height=24, width=19, noise=0.1):
    """A smooth image, and the same with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(size=(2, 4, 4, channels))
    truth = np.kron(coarse, np.ones((1, 6, 5, 1)))[:, :height, :width]
    images = np.clip(truth + noise * rng.normal(size=truth.shape), 0, 1)
    return images.astype(np.float32), truth.astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_both_are_those_of_scikit_image(channels, data_range):
    images, truth = pair(0, channels)
    images, truth = images * np.float32(data_range), truth * np.float32(data_range)
    for score, expected in (
        (psnr, lambda x, y: reference.peak_signal_noise_ratio(y, x, data_range=data_range)),
        (
            ssim,
            lambda x, y: reference.structural_similarity(
                x.astype(np.float64),
                y.astype(np.float64),
                data_range=data_range,
                channel_axis=-1,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            ),
        ),
    ):
        found = score(jnp.asarray(images), jnp.asarray(truth), data_range)
        wanted = [expected(x, y) for x, y in zip(images, truth, strict=True)]
        np.testing.assert_allclose(found, wanted, rtol=2e-5)


def test_equal_images_have_100_decibels_and_their_mean_stays_finite():
    images, truth = (jnp.asarray(255 * x) for x in pair(4))
    assert np.array_equal(psnr(truth, truth, 255.0), [100.0, 100.0])
    assert np.all(psnr(images, truth, 255.0) < 30)
    np.testing.assert_allclose(decibels(jnp.array([1e-9, 1e-11])), [90, 100], rtol=1e-6)


def test_luma_is_that_of_video():
    images, _ = pair(1)
    expected = color.rgb2ycbcr(images.astype(np.float64))[..., :1] / 255
    np.testing.assert_allclose(luma(jnp.asarray(images)), expected, atol=1e-6)


def test_the_border_counts_for_nothing():
    images, truth = (jnp.asarray(x) for x in pair(2))
    spoiled = images.at[:, :4].set(0).at[:, -4:].set(0).at[:, :, :4].set(0).at[:, :, -4:].set(0)
    inner = [without_border(x, 4) for x in (images, spoiled, truth)]
    assert inner[0].shape[1:3] == (16, 11)
    assert np.array_equal(psnr(inner[0], inner[2]), psnr(inner[1], inner[2]))
    assert np.all(psnr(spoiled, truth) < psnr(images, truth))


def test_a_constant_shift_costs_less_structure_than_noise_of_its_size():
    images, truth = (jnp.asarray(x) for x in pair(3, noise=0.05))
    shifted = truth + jnp.sqrt(jnp.mean(jnp.square(images - truth)))
    assert np.all(ssim(shifted, truth) > ssim(images, truth) + 0.02)
    np.testing.assert_allclose(ssim(truth, truth), 1.0, atol=1e-6)


def test_images_that_are_too_small_are_refused():
    small = jnp.zeros((1, 10, 12, 1))
    with pytest.raises(ValueError, match="10x12 pixels are smaller than the window"):
        ssim(small, small)
    with pytest.raises(ValueError, match="leaves nothing of 10x12"):
        without_border(small, 5)
