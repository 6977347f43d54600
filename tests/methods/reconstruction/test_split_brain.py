"""The split-brain autoencoder: two halves that share nothing, and both of their losses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.color import rgb2lab

from ssljax.config.base import base_config
from ssljax.methods.contract import Task, Turn
from ssljax.methods.reconstruction.split_brain import SplitBrain, SplitBrainTask
from ssljax.run.step import init_state

BATCH, SIDE, PLACES = 4, 16, 4
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=BATCH, total_steps=8, steps_per_epoch=4)
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)
IMAGES[1] = IMAGES[1, ..., :1]  # Grey throughout.
LAB = rgb2lab(IMAGES)
TRUTH = LAB[:, ::4, ::4]
COLORED = [0, 2, 3]


def configure(config, **changes):
    config.update(places=PLACES, neighbors=5, head_dim=8)
    config.view.update(size=SIDE, crop_scale=None, flip_p=0.0)
    config.update(changes)


def make(**changes):
    config = SplitBrainTask.default_config()
    configure(config, **changes)
    return SplitBrainTask(config, TASK, "float32")


@functools.cache
def question():
    return jax.jit(functools.partial(make().ask, jax.random.key(0)))({"image": IMAGES})


@functools.cache
def method(loss="classification"):
    config = base_config("split_brain")
    config.batch_size = BATCH
    configure(config.method, loss=loss)
    config.model.encoder.update(name="small", widths=(8, 16))
    return SplitBrain(config, TASK)


def test_lab_is_seen_and_both_of_its_parts_are_asked_for():
    inputs, targets = question()
    np.testing.assert_allclose(inputs, (LAB - [50, 0, 0]) / [100, 110, 110], atol=1e-4)
    np.testing.assert_allclose(targets["truth"]["colors"], TRUTH[..., 1:], atol=1e-3)
    np.testing.assert_allclose(targets["truth"]["lightness"], TRUTH[..., :1], atol=1e-3)


@pytest.mark.parametrize("loss", ["classification", "regression"])
def test_no_weight_of_one_half_learns_from_the_loss_of_the_other(loss):
    solver = method(loss)
    state = init_state(solver, jax.random.key(0))
    views = question()

    def logged(params, name):
        return solver.loss(params, Turn(state, views, jax.random.key(0)))[1].metrics[f"{name}_loss"]

    @jax.jit
    def slopes(params):
        return {name: jax.grad(logged)(params, name) for name in ("colors", "lightness")}

    own = {"colors": "first", "lightness": "second"}
    for name, found in slopes(state.params["online"]).items():
        learns = {
            f"{part}/{key}": any(np.any(x) for x in jax.tree.leaves(values))
            for part in ("encoder", "head")
            for key, values in found[part].items()
        }
        assert len(learns) == 4
        assert {key for key, moves in learns.items() if moves} == {
            f"encoder/{own[name]}",
            f"head/{name}",
        }


def test_features_are_both_halves_by_stage():
    solver = method()
    state = init_state(solver, jax.random.key(0))
    features = jax.jit(solver.features)
    found = features(state, jnp.asarray(IMAGES))
    assert {name: x.shape[-1] for name, x in found.items()} == {
        "stem": 8,
        "stage1": 8,
        "stage2": 16,
        "features": 16,
    }
    # A grey image differs from its original in ab, and nearly not in L.
    lightness = np.round(255 * np.asarray(solver.pretext.picture(answers()[1], question())[:, 0]))
    grey = features(state, jnp.asarray(lightness.astype(np.uint8)))["features"]
    moved = np.abs(grey - found["features"]).mean(axis=0)
    assert moved[:8].max() < 0.1 * moved[8:].max()


def answers():
    rng = np.random.default_rng(1)
    sizes = {"colors": 314, "lightness": 100}
    raw = {name: 3 * rng.normal(size=(BATCH, PLACES, PLACES, n)) for name, n in sizes.items()}
    return raw, {name: jnp.float32(x) for name, x in raw.items()}


def test_both_losses_and_the_marks_of_classes_are_those_of_the_formulas():
    raw, outputs = answers()
    pretext = make()
    loss, logged = pretext.loss(outputs, question().targets)
    expected = {}
    for name, logits in raw.items():
        coding = pretext.codings[name]
        truth = TRUTH[..., 1:] if name == "colors" else TRUTH[..., :1]
        bins = coding.bins.astype(np.float64)
        distance = np.linalg.norm(truth[..., None, :] - bins, axis=-1)
        farthest = np.sort(distance, axis=-1)[..., coding.neighbors - 1 : coding.neighbors]
        shares = np.where(distance <= farthest, np.exp(-(distance**2) / 50), 0)
        shares /= shares.sum(axis=-1, keepdims=True)
        logs = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
        expected[name] = -np.mean(np.sum(shares * logs, axis=-1)[COLORED])
        np.testing.assert_allclose(logged[f"{name}_loss"], expected[name], rtol=1e-4)
        marks = pretext.scores(outputs, question().targets)
        right = np.mean(np.argmax(logits, axis=-1) == np.argmin(distance, axis=-1), axis=(1, 2))
        np.testing.assert_allclose(marks[f"{name}_accuracy"], right, atol=1e-6)
        powers = np.exp(logits / 0.38)
        said = (powers / powers.sum(axis=-1, keepdims=True)) @ bins
        reach = 150 if name == "colors" else 100
        close = np.clip(1 - np.linalg.norm(said - truth, axis=-1) / reach, 0, 1)
        np.testing.assert_allclose(marks[f"{name}_closeness"], close.mean(axis=(1, 2)), atol=1e-4)
    np.testing.assert_allclose(loss, sum(expected.values()), rtol=1e-5)
    assert set(marks) == set(pretext.chance)


def test_as_numbers_the_centred_coordinates_have_a_squared_error():
    rng = np.random.default_rng(2)
    pretext = make(loss="regression")
    said = {
        "colors": rng.normal(size=TRUTH[..., 1:].shape),
        "lightness": rng.normal(size=TRUTH[..., :1].shape),
    }
    outputs = {name: jnp.float32(x) for name, x in said.items()}
    loss, _ = pretext.loss(outputs, question().targets)
    centred = (TRUTH - [50, 0, 0]) / [100, 110, 110]
    errors = [said["colors"] - centred[..., 1:], said["lightness"] - centred[..., :1]]
    expected = sum(0.5 * np.mean(np.sum(x**2, axis=-1)[COLORED]) for x in errors)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    # The truth itself has all marks but for rounding.
    perfect = {"colors": jnp.float32(centred[..., 1:]), "lightness": jnp.float32(centred[..., :1])}
    for name, mark in pretext.scores(perfect, question().targets).items():
        np.testing.assert_allclose(mark, 1.0, atol=1e-3, err_msg=name)


def test_a_guess_is_the_middle_grey():
    marks = make().guess(question())
    close = 1 - np.abs(TRUTH[..., 0] - 50) / 100
    np.testing.assert_allclose(marks["lightness_closeness"], close.mean(axis=(1, 2)), atol=1e-4)
    close = 1 - np.linalg.norm(TRUTH[..., 1:], axis=-1) / 150
    np.testing.assert_allclose(marks["colors_closeness"], close.mean(axis=(1, 2)), atol=1e-4)


def test_the_picture_has_what_each_half_sees_and_says():
    picture = np.asarray(make().picture(answers()[1], question()))
    assert picture.shape == (BATCH, 5, SIDE, SIDE, 3)
    np.testing.assert_allclose(picture[:, 4], IMAGES / 255, atol=1e-6)
    seen = rgb2lab(picture)
    np.testing.assert_allclose(seen[:, 0, ..., 0], LAB[..., 0], atol=0.1)
    np.testing.assert_allclose(seen[:, 0, ..., 1:], 0, atol=0.3)
    # Of a grey image's ab only the middle grey is left.
    np.testing.assert_allclose(seen[1, 2], np.broadcast_to([50, 0, 0], (SIDE, SIDE, 3)), atol=0.3)


def test_an_unknown_loss_is_told():
    with pytest.raises(ValueError, match=r"method\.loss is 'ranking'; it must be one of"):
        make(loss="ranking")
