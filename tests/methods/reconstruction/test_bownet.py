"""BoWNet: its teacher, when there is a vocabulary, and what is predicted with it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import augment, optimizers
from ssljax.augment import ViewPolicy
from ssljax.methods.contract import Task
from ssljax.methods.pretext.rotation import Rotation
from ssljax.methods.reconstruction.bownet import BoWNet
from ssljax.run.step import init_state, make_step

BATCH, SIZE, WORDS, QUEUE = 4, 16, 3, 8
PERIOD = QUEUE // BATCH
TASK = Task((SIZE, SIZE, 3), BATCH, total_steps=6, steps_per_epoch=3, num_images=12)


def config_for(method, widths=(6, 8), **changes):
    keys = method.default_config()
    for name in keys:
        if "view" in name:
            keys[name] = ConfigDict(
                dataclasses.asdict(ViewPolicy(SIZE, crop_scale=None, flip_p=0.0))
            )
    keys.update(changes)
    return ConfigDict(
        {
            "data": {"resize": "short_side"},
            "method": keys,
            "model": {"encoder": {"name": "small", "widths": widths, "dtype": "float32"}},
            "optimizer": dataclasses.asdict(optimizers.Settings(name="sgd", learning_rate=0.1)),
        }
    )


@pytest.fixture(scope="module")
def source():
    method = Rotation(config_for(Rotation), TASK)
    return method, jax.jit(lambda: init_state(method, jax.random.key(7)))()


def bownet(source, **changes):
    keys = dict(words=WORDS, queue_size=QUEUE, kmeans_iterations=5, level=1) | changes
    config = config_for(BoWNet, **keys)
    return BoWNet(config, dataclasses.replace(TASK, source=source[0]))


def batch_for(number):
    coarse = np.random.default_rng(number).integers(0, 256, (BATCH, 1, 4, 4, 3), dtype=np.uint8)
    images = np.kron(coarse, np.ones((1, 1, 4, 4, 1), np.uint8))
    return {"images": {"image": jnp.asarray(images)}}


@pytest.fixture(scope="module")
def method(source):
    return bownet(source)


@pytest.fixture(scope="module")
def run(method, source):
    """The states before and after each of four steps, and the metrics of each."""
    step = jax.jit(make_step(method))
    state = jax.jit(lambda: init_state(method, jax.random.key(0)))()
    states, metrics = [method.start_from(state, *source)], []
    for number in range(4):
        state, values = step(states[-1], batch_for(number))
        states.append(state)
        metrics.append(values)
    return states, metrics


def maps_of(source, images):
    """The teacher's last map of clean images."""
    state = source[1]
    weights = {
        "params": state.params["online"]["encoder"],
        "batch_stats": state.variables["online"]["batch_stats"]["encoder"],
    }
    outputs = source[0].network.encoder.apply(weights, augment.to_float(images), False)
    return np.asarray(outputs["stage2"], np.float64)


def test_the_teacher_is_the_other_runs_and_never_moves(run, source):
    states, _ = run
    expected = source[1].params["online"]["encoder"]["stage1_conv1"]["kernel"]
    for state in states:
        teacher = state.memory["teacher"]["params"]["stage1_conv1"]["kernel"]
        np.testing.assert_array_equal(teacher, expected)
    own = states[0].params["online"]["encoder"]["stage1_conv1"]["kernel"]
    assert np.any(own != expected), "the student starts anew"


def test_nothing_is_learnt_until_the_queue_is_full(run):
    states, metrics = run
    assert [float(values["online/loss"]) for values in metrics[:PERIOD]] == [0.0] * PERIOD
    assert float(metrics[PERIOD]["online/loss"]) > 0
    for before, after in zip(
        jax.tree.leaves(states[0].params), jax.tree.leaves(states[PERIOD].params), strict=True
    ):
        np.testing.assert_array_equal(before, after)
    scales = [float(state.params["online"]["words"]["scale"]) for state in states]
    assert scales[0] == 10.0
    assert scales[PERIOD + 2] != 10.0, "the scale is learnt"


def test_the_vocabulary_is_made_once_of_the_teachers_features(run, source):
    states, _ = run
    assert not np.any(states[PERIOD - 1].memory["vocabulary"])
    queue = np.asarray(states[PERIOD].memory["queue"])
    for number in range(PERIOD):
        maps = maps_of(source, batch_for(number)["images"]["image"][:, 0])
        for image in range(BATCH):
            row = queue[number * BATCH + image]
            nearest = np.abs(maps[image].reshape(-1, 8) - row).max(-1).min()
            assert nearest < 1e-5, "a feature of one place of the image"
    words = np.asarray(states[PERIOD].memory["vocabulary"])
    nearest = ((queue[:, None] - words) ** 2).sum(-1).argmin(1)
    for word in np.unique(nearest):
        np.testing.assert_allclose(words[word], queue[nearest == word].mean(0), atol=1e-5)
    for state in states[PERIOD + 1 :]:
        np.testing.assert_array_equal(state.memory["vocabulary"], words)
        np.testing.assert_array_equal(state.memory["queue"], queue)


def test_the_loss_is_about_the_words_of_the_clean_image(method, run, source):
    states, metrics = run
    state = states[PERIOD]
    images = batch_for(PERIOD)["images"]["image"][:, 0]
    words = np.asarray(state.memory["vocabulary"], np.float64)
    maps = maps_of(source, images)
    nearest = ((maps[..., None, :] - words) ** 2).sum(-1).argmin(-1).reshape(BATCH, -1)
    targets = np.stack([np.bincount(row, minlength=WORDS) for row in nearest]) / nearest.shape[1]
    weights = {"params": state.params["online"], **state.variables["online"]}
    outputs, _ = method.network.apply(
        weights, augment.to_float(images), True, mutable=["batch_stats"]
    )
    logits = np.asarray(outputs["logits"], np.float64)
    predicted = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    there = np.where(targets > 0, targets, 1.0)
    expected = np.sum(targets * (np.log(there) - predicted), axis=1).mean()
    np.testing.assert_allclose(float(metrics[PERIOD]["online/loss"]), expected, rtol=1e-4)


def test_what_does_not_fit_is_refused(source):
    with pytest.raises(ValueError, match=r"config\.init\.workdir"):
        BoWNet(config_for(BoWNet), TASK)
    for changes, told in (
        (dict(words=9), "from 1 to queue_size=8"),
        (dict(queue_size=24), "first 6 train steps"),
        (dict(level=3), "from 1 to 2"),
        (
            dict(view=ConfigDict(dataclasses.asdict(ViewPolicy(SIZE, mean=(0.5,), std=(0.2,))))),
            "the teacher was trained with",
        ),
    ):
        with pytest.raises(ValueError, match=told):
            bownet(source, **changes)
    other = bownet(source, widths=(6, 10))
    state = jax.jit(lambda: init_state(other, jax.random.key(0)))()
    with pytest.raises(ValueError, match="not like this run's"):
        other.start_from(state, *source)
