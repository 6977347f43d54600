"""Colorization: what is seen, told and counted, the loss and the marks in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab

from ssljax.config.base import base_config
from ssljax.methods.contract import Task
from ssljax.methods.reconstruction.colorization import Colorization, ColorizationTask
from ssljax.models import SmallConvNet
from ssljax.run.step import init_state, make_step

BATCH, SIDE, PLACES = 4, 16, 4
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=BATCH, total_steps=60, steps_per_epoch=4)
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)
IMAGES[1] = IMAGES[1, ..., :1]  # Grey throughout.
LAB = rgb2lab(IMAGES)
KEYS = dict(places=PLACES, neighbors=5, head_dim=8)


def configure(config):
    config.update(KEYS)
    config.view.update(size=SIDE, crop_scale=None, flip_p=0.0)


def make(**changes):
    config = ColorizationTask.default_config()
    configure(config)
    config.update(changes)
    return ColorizationTask(config, TASK, "float32")


@functools.cache
def question():
    return jax.jit(functools.partial(make().ask, jax.random.key(0)))({"image": IMAGES})


def answers(seed=0):
    rng = np.random.default_rng(seed)
    bins = len(make().coding.bins)
    logits = 3 * rng.normal(size=(BATCH, PLACES, PLACES, bins))
    prior = np.tile(rng.dirichlet(np.ones(bins)), (BATCH, 1))
    return logits, prior, {"logits": jnp.float32(logits), "prior": jnp.float32(prior)}


def test_lightness_is_seen_and_the_colours_of_single_pixels_are_asked_for():
    inputs, targets = question()
    np.testing.assert_allclose(inputs["lightness"], (LAB[..., :1] - 50) / 100, atol=1e-4)
    np.testing.assert_allclose(targets["ab"], LAB[:, ::4, ::4, 1:], atol=1e-3)
    np.testing.assert_array_equal(targets["colored"], [1, 0, 1, 1])
    # The prior counts the colours of the places, but none of the grey image.
    shares = np.asarray(targets["shares"], np.float64)
    np.testing.assert_allclose(inputs["shares"][2], shares[2].mean(axis=(0, 1)), rtol=1e-4)
    assert not np.any(inputs["shares"][1])


def test_an_image_counts_once_one_pixel_has_a_colour():
    lab = np.full((3, SIDE, SIDE, 3), (60.0, 0.0, 0.0))
    lab[1, 3, 5, 1] = 4.0
    lab[2, 3, 5, 2] = -7.0
    pixels = np.round(255 * lab2rgb(lab)).astype(np.uint8)
    targets = make().ask(jax.random.key(0), {"image": jnp.asarray(pixels)}).targets
    np.testing.assert_array_equal(targets["colored"], [0, 0, 1])


def test_loss_is_the_papers_in_float64():
    logits, prior, outputs = answers()
    targets = question().targets
    shares = np.asarray(targets["shares"], np.float64)
    weights = 1 / (0.5 * prior[0] + 0.5 / len(prior[0]))
    weights /= np.sum(prior[0] * weights)
    logs = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
    terms = -np.sum(shares * logs, axis=-1) * weights[np.argmax(shares, axis=-1)]
    loss, logged = make().loss(outputs, targets)
    np.testing.assert_allclose(loss, np.mean(terms[[0, 2, 3]]), rtol=1e-5)
    assert float(logged["colored"]) == 0.75
    plain, _ = make(uniform=1.0).loss(outputs, targets)
    np.testing.assert_allclose(
        plain, np.mean(-np.sum(shares * logs, axis=-1)[[0, 2, 3]]), rtol=1e-5
    )


def test_marks_are_those_of_the_formulas_and_a_guess_is_grey():
    logits, _, outputs = answers()
    pretext, targets = make(), question().targets
    bins, ab = pretext.coding.bins.astype(np.float64), LAB[:, ::4, ::4, 1:]
    nearest = np.argmin(np.linalg.norm(ab[..., None, :] - bins, axis=-1), axis=-1)
    powers = np.exp(logits / 0.38)
    mean = (powers / powers.sum(axis=-1, keepdims=True)) @ bins
    for marks, classes, values in (
        (pretext.scores(outputs, targets), np.argmax(logits, axis=-1), mean),
        (pretext.guess(question()), np.flatnonzero(np.all(bins == 0, axis=1))[0], 0 * ab),
    ):
        right = np.mean(classes == nearest, axis=(1, 2))
        np.testing.assert_allclose(marks["color_accuracy"], right, atol=1e-6)
        close = np.clip(1 - np.linalg.norm(values - ab, axis=-1) / 150, 0, None)
        np.testing.assert_allclose(marks["color_closeness"], close.mean(axis=(1, 2)), atol=1e-4)
        assert set(marks) == set(pretext.chance)
    assert float(pretext.guess(question())["color_closeness"][1]) == pytest.approx(1, abs=1e-4)


def test_the_gain_is_over_the_best_guess_without_looking():
    logits, prior, outputs = answers()
    _, targets = question()
    shares = np.asarray(targets["shares"], np.float64)
    p = prior[0]
    raw = 1 / (0.5 * p + 0.5 / len(p))
    weights = raw / np.sum(p * raw)
    of_places = weights[shares.argmax(axis=-1)]
    logs = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
    looked, blind = (
        -np.sum(of_places * np.sum(shares * x, axis=-1), axis=(1, 2))
        for x in (logs, np.log(p * weights))
    )
    marks = make().scores(outputs, targets)
    np.testing.assert_allclose(marks["color_gain"], 1 - looked / blind, rtol=1e-3)
    guessed = outputs | {"logits": jnp.float32(np.broadcast_to(np.log(p * weights), logits.shape))}
    np.testing.assert_allclose(make().scores(guessed, targets)["color_gain"], 0, atol=1e-5)
    unseen = outputs | {"prior": jnp.zeros_like(outputs["prior"])}
    assert np.all(np.isfinite(make().scores(unseen, targets)["color_gain"]))


def test_the_picture_shows_grey_the_colours_that_are_told_and_the_truth():
    pretext = make(temperature=0.01)
    targets = question().targets
    truth = {"logits": 100 * targets["shares"]}
    picture = np.asarray(pretext.picture(truth, question()))
    assert picture.shape == (BATCH, 3, SIDE, SIDE, 3)
    np.testing.assert_allclose(picture[:, 2], IMAGES / 255, atol=1e-6)
    np.testing.assert_allclose(np.ptp(picture[:, 0], axis=-1), 0, atol=2e-3)
    np.testing.assert_allclose(rgb2lab(picture[:, 0])[..., 0], LAB[..., 0], atol=0.1)
    # At the places themselves the bin of the true colour is shown; what no screen shows is clipped.
    shown = rgb2lab(picture[:, 1])[:, ::4, ::4]
    distance = np.linalg.norm(shown[..., 1:] - LAB[:, ::4, ::4, 1:], axis=-1)
    assert np.median(distance) < 8


@pytest.fixture(scope="module")
def run():
    """A few steps of the whole method on images whose colours follow from their lightness."""
    config = base_config("colorization")
    config.batch_size = BATCH
    configure(config.method)
    config.model.encoder.update(name="small", widths=(8, 16))
    config.optimizer.update(
        name="adam", learning_rate=0.02, schedule="constant", warmup_epochs=0.0, exclude=()
    )
    method = Colorization(config, TASK)
    assert isinstance(method.network.encoder, SmallConvNet)
    rng = np.random.default_rng(1)
    dark = np.kron(rng.integers(0, 2, (BATCH, 2, 2)), np.ones((8, 8)))[..., None]
    images = np.where(dark, np.uint8([120, 20, 20]), np.uint8([150, 200, 255])).astype(np.uint8)
    batch = {"images": {"image": jnp.asarray(images)[:, None]}}
    state, step, losses = init_state(method, jax.random.key(0)), jax.jit(make_step(method)), []
    states = [state]
    for _ in range(40):
        state, metrics = step(state, batch)
        states.append(state)
        losses.append(float(metrics["online/loss"]))
    return method, jnp.asarray(images), states, losses


def test_colours_that_lightness_tells_are_learnt(run):
    method, images, states, losses = run
    marks = method.solve(states[-1], {"image": images}, jax.random.key(0))
    assert float(jnp.mean(marks["color_accuracy"])) > 0.9
    assert losses[-1] < 0.4 * losses[0]


def test_the_prior_is_the_share_of_all_colours_seen_in_training(run):
    method, images, states, _ = run
    question = method.pretext.ask(jax.random.key(0), {"image": images})
    once = np.asarray(question.inputs["shares"], np.float64).sum(axis=0)
    for steps in (0, 1, 3):
        counts = states[steps].variables["online"]["color_prior"]["head"]["prior"]["counts"]
        np.testing.assert_allclose(counts, steps * once, rtol=1e-5)
    assert once.sum() == pytest.approx(BATCH, rel=1e-5)


def test_what_is_counted_is_not_seen(run):
    method, _, states, _ = run
    inputs = method.pretext.ask(jax.random.key(0), {"image": jnp.asarray(IMAGES)}).inputs
    weights = {"params": states[-1].params["online"], **states[-1].variables["online"]}
    other = inputs | {"shares": jnp.roll(inputs["shares"], 7, axis=1)}
    for train in (False, True):
        found = [
            method.network.apply(weights, x, train, mutable=["batch_stats", "color_prior"])[0]
            for x in (inputs, other)
        ]
        np.testing.assert_array_equal(found[0]["logits"], found[1]["logits"])
        np.testing.assert_array_equal(found[0]["features"], found[1]["features"])
    assert np.any(found[0]["prior"] != found[1]["prior"])


def test_features_are_of_lightness_alone(run):
    method, _, states, _ = run
    first = np.uint8([200, 60, 60])
    greens = np.array([(60, green, 60) for green in range(256)], np.uint8)
    lightness = rgb2lab(np.concatenate([first[None], greens]))[:, 0]
    second = greens[np.argmin(np.abs(lightness[1:] - lightness[0]))]
    images = np.stack([np.full((SIDE, SIDE, 3), x) for x in (first, second, second // 2)])
    features = method.features(states[-1], jnp.asarray(images))["features"]
    near = np.linalg.norm(features[0] - features[1])
    assert near < 0.05 * np.linalg.norm(features[0] - features[2])


def test_what_cannot_be_coloured_is_told():
    config = ColorizationTask.default_config()
    grey = Task(image_shape=(SIDE, SIDE, 1), batch_size=4, total_steps=8, steps_per_epoch=4)
    with pytest.raises(ValueError, match=r"needs colour images, and data\.name has images of 1"):
        ColorizationTask(config, grey, "float32")
    with pytest.raises(ValueError, match=r"method\.places is 500"):
        make(places=500)
    config.view.update(mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(ValueError, match=r"set method\.view\.mean and method\.view\.std to None"):
        ColorizationTask(config, TASK, "float32")
