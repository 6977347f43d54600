"""Super-resolution: small and large images, the published networks, and the marks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from skimage import color
from skimage import metrics as reference

from ssljax import models
from ssljax.methods.contract import Task
from ssljax.methods.reconstruction.super_resolution import SuperResolutionTask

BATCH, SIDE = 2, 32
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=BATCH, total_steps=8, steps_per_epoch=4)
COARSE = np.random.default_rng(0).integers(0, 256, (BATCH, 8, 8, 3), dtype=np.uint8)
IMAGES = np.stack([np.asarray(Image.fromarray(x).resize((SIDE, SIDE))) for x in COARSE])


def make(**changes):
    config = SuperResolutionTask.default_config()
    config.update(factor=2, upscaler_channels=4)
    config.view.size = SIDE
    config.update(changes)
    return SuperResolutionTask(config, TASK, "float32")


@pytest.fixture(scope="module")
def question():
    return jax.jit(make().ask)(jax.random.key(0), {"image": IMAGES})


def test_the_small_image_is_the_large_one_reduced_as_pillow_does(question):
    small = [Image.fromarray(x).resize((16, 16), Image.Resampling.BICUBIC) for x in IMAGES]
    np.testing.assert_allclose(question.inputs, np.stack(small) / 255, atol=1.5 / 255)
    np.testing.assert_allclose(question.targets, IMAGES / 255, atol=1e-6)


def test_the_marks_are_of_luma_inside_the_border_as_scikit_image_has_them(question):
    pretext = make()
    rng = np.random.default_rng(1)
    prediction = np.clip(IMAGES / 127.5 - 1 + 0.1 * rng.normal(size=IMAGES.shape), -1.1, 1.1)
    outputs = {"prediction": jnp.asarray(prediction, jnp.float32)}
    marks = pretext.scores(outputs, question.targets)
    restored = np.clip((prediction + 1) / 2, 0, 1)
    for index in range(BATCH):
        found, truth = (
            color.rgb2ycbcr(x)[4:-4, 4:-4, 0] for x in (restored[index], IMAGES[index] / 255)
        )
        psnr = reference.peak_signal_noise_ratio(truth, found, data_range=255)
        ssim = reference.structural_similarity(
            truth,
            found,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert float(marks["psnr"][index]) == pytest.approx(psnr, rel=1e-4)
        assert float(marks["ssim"][index]) == pytest.approx(ssim, rel=1e-4)
    loss, _ = pretext.loss(outputs, question.targets)
    np.testing.assert_allclose(loss, np.mean((prediction - IMAGES / 127.5 + 1) ** 2), rtol=1e-4)


def test_the_guess_is_bicubic_interpolation(question):
    pretext = make()
    large = [
        Image.fromarray(np.uint8(255 * np.asarray(x) + 0.5)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        for x in question.inputs
    ]
    as_outputs = {"prediction": jnp.asarray(np.stack(large) / 127.5 - 1, jnp.float32)}
    expected = pretext.scores(as_outputs, question.targets)
    guess = pretext.guess(question)
    np.testing.assert_allclose(guess["psnr"], expected["psnr"], atol=0.1)
    # The picture shows it beside the network's.
    shown = np.asarray(pretext.picture(as_outputs, question))
    np.testing.assert_allclose(shown[:, 1], shown[:, 2], atol=4 / 255)  # Pillow rounds.
    np.testing.assert_allclose(shown[:, 3], IMAGES / 255, atol=1e-6)


def test_the_published_network_has_the_published_layers():
    config = SuperResolutionTask.default_config()
    task = dataclasses.replace(TASK, image_shape=(96, 96, 3))
    head = SuperResolutionTask(config, task, "float32").head
    encoder = models.build_encoder("srresnet")
    small = jnp.zeros((1, 24, 24, 3))

    def sizes():
        weights = encoder.init(jax.random.key(0), small, False)
        return weights, head.init_with_output(
            jax.random.key(0), lambda x: encoder.apply(weights, x, False), small, False
        )

    weights, (outputs, end) = jax.eval_shape(sizes)
    assert outputs["prediction"].shape == (1, 96, 96, 3)
    trunk, end = weights["params"], end["params"]["upscaler"]
    blocks = [name for name in trunk if name.startswith("block") and name.endswith("conv2")]
    assert len(blocks) == 16
    assert trunk["stem_conv"]["kernel"].shape == (9, 9, 3, 64)
    assert all(trunk[name]["kernel"].shape == (3, 3, 64, 64) for name in blocks)
    assert [end[f"conv{i}"]["kernel"].shape for i in (1, 2)] == [(3, 3, 64, 256)] * 2
    assert end["image"]["kernel"].shape == (9, 9, 64, 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(factor=3), "the factor must divide the size"),
        (dict(border=11), "SSIM needs 11 pixels inside"),
    ],
)
def test_impossible_keys_are_told(changes, told):
    with pytest.raises(ValueError, match=told):
        make(**changes)


def test_an_encoder_that_shrinks_is_told():
    head = make().head
    encoder = models.build_encoder("small", widths=(4, 8))
    small = jnp.zeros((1, 16, 16, 3))

    def run():
        weights = encoder.init(jax.random.key(0), small, False)
        return head.init(
            jax.random.key(0), lambda x: encoder.apply(weights, x, False), small, False
        )

    with pytest.raises(ValueError, match="makes 4 of 16: choose"):
        jax.eval_shape(run)
