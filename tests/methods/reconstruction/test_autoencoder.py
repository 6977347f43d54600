"""Autoencoders: what is seen and what is asked for, the losses and marks in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.contract import Task
from ssljax.methods.reconstruction.autoencoder import AutoencoderTask, DenoisingAutoencoderTask

BATCH, SIDE = 4, 16
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=BATCH, total_steps=8, steps_per_epoch=4)
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)
CLEAN = IMAGES / 255


def make(kind=DenoisingAutoencoderTask, **changes):
    config = kind.default_config()
    config.update(decoder_widths=(8, 4))
    config.view.update(size=SIDE, mean=MEAN, std=STD)
    config.update(changes)
    return kind(config, TASK, "float32")


def ask(pretext, images=IMAGES):
    return jax.jit(functools.partial(pretext.ask, jax.random.key(3)))({"image": images})


@pytest.mark.parametrize("corruption", ["gaussian", "masking", "salt_and_pepper"])
def test_the_corrupted_image_is_seen_and_the_clean_one_is_asked_for(corruption):
    question = ask(make(corruption=corruption, strength=0.3))
    np.testing.assert_allclose(question.targets, CLEAN, atol=1e-6)
    seen = np.asarray(question.inputs) * STD + MEAN
    hit = np.abs(seen - CLEAN) > 1e-5
    assert hit.mean() == pytest.approx(1.0 if corruption == "gaussian" else 0.3, abs=0.05)
    if corruption == "masking":
        np.testing.assert_allclose(seen[hit], 0, atol=1e-6)
    # What happens to an image is its place's alone.
    others = IMAGES.copy()
    others[:2] = 0
    assert np.array_equal(
        ask(make(corruption=corruption, strength=0.3), others).inputs[2:], question.inputs[2:]
    )


def test_a_plain_autoencoder_sees_the_image_as_it_is():
    question = ask(make(AutoencoderTask))
    np.testing.assert_allclose(question.inputs, (CLEAN - MEAN) / STD, rtol=1e-4, atol=1e-5)


def test_both_losses_and_the_marks_are_those_of_the_formulas():
    prediction = np.random.default_rng(1).normal(size=CLEAN.shape)
    outputs = {"prediction": jnp.asarray(prediction, jnp.float32)}
    target = jnp.asarray(CLEAN, jnp.float32)

    squared = make(AutoencoderTask)
    loss, _ = squared.loss(outputs, target)
    np.testing.assert_allclose(loss, np.mean((prediction - (CLEAN - MEAN) / STD) ** 2), rtol=1e-5)
    restored = np.clip(prediction * STD + MEAN, 0, 1)
    marks = squared.scores(outputs, target)
    share = np.mean(((restored - CLEAN) / STD) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(marks["variance_explained"], 1 - share, rtol=1e-5)
    psnr = -10 * np.log10(np.mean((restored - CLEAN) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(marks["psnr"], psnr, rtol=1e-5)

    crossed = make(AutoencoderTask, loss="cross_entropy")
    white = 1 / (1 + np.exp(-prediction))
    loss, _ = crossed.loss(outputs, target)
    expected = -np.mean(CLEAN * np.log(white) + (1 - CLEAN) * np.log(1 - white))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    marks = crossed.scores(outputs, target)
    psnr = -10 * np.log10(np.mean((white - CLEAN) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(marks["psnr"], psnr, rtol=1e-5)


def test_a_guess_is_the_mean_colour_and_explains_nothing():
    pretext = make()
    rng = np.random.default_rng(2)
    pixels = np.clip(rng.normal(MEAN, STD, (BATCH, SIDE, SIDE, 3)), 0, 1)
    question = ask(pretext)._replace(targets=jnp.asarray(pixels, jnp.float32))
    marks = pretext.guess(question)
    error = np.mean(((pixels - MEAN) / STD) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(marks["variance_explained"], 1 - error, rtol=1e-3, atol=1e-5)
    assert np.mean(marks["variance_explained"]) == pytest.approx(0, abs=0.1)
    assert set(marks) == set(pretext.chance)


def test_the_picture_shows_noisy_restored_and_clean():
    pretext = make(corruption="masking", strength=0.5)
    question = ask(pretext)
    outputs = {"prediction": (question.targets - jnp.asarray(MEAN).reshape(1, 1, 1, 3)) / 0.25}
    shown = np.asarray(pretext.picture(outputs, question))
    assert shown.shape == (BATCH, 3, SIDE, SIDE, 3)
    assert np.mean(shown[:, 0] == 0) > 0.4
    np.testing.assert_allclose(shown[:, 2], CLEAN, atol=1e-6)
    assert make(AutoencoderTask).picture(outputs, question).shape[1] == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(loss="absolute"), "method.loss is 'absolute'"),
        (dict(corruption="blur"), "method.corruption is 'blur'; it must be one of gaussian"),
        (dict(bottleneck=-1), "method.bottleneck is -1"),
        (dict(decoder="deconvolution"), "There is no decoder 'deconvolution'"),
    ],
)
def test_impossible_keys_are_told(changes, told):
    with pytest.raises(ValueError, match=told):
        make(**changes)


def test_without_statistics_no_score_could_be_made():
    config = AutoencoderTask.default_config()
    config.view.update(mean=None, std=None)
    with pytest.raises(ValueError, match=r"method\.view\.std are needed"):
        AutoencoderTask(config, TASK, "float32")
