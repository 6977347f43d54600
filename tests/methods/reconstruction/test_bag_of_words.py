"""OBoW: what the teacher finds, when its vocabulary and its distances move, and its own score."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import optimizers
from ssljax.augment import ViewPolicy
from ssljax.methods.contract import Task, Turn
from ssljax.methods.protocols import PretextSolver
from ssljax.methods.reconstruction.bag_of_words import BagOfWords
from ssljax.run.step import init_state, make_step

BATCH, SIZE, WORDS = 4, 16, 8
TASK = Task((SIZE, SIZE, 3), BATCH, total_steps=10, steps_per_epoch=5, num_images=20)


def config_for(**changes):
    method = BagOfWords.default_config()
    for name in ("view", "crop_view", "local_view"):
        size = 8 if "local" in name else SIZE
        method[name] = ConfigDict(dataclasses.asdict(ViewPolicy(size, crop_scale=None, flip_p=0.0)))
    method.update(queue_size=WORDS, levels=2, local_crops=1, crops=2, momentum=0.5, center=1.0)
    method.update(changes)
    settings = optimizers.Settings(name="sgd", learning_rate=0.1)
    encoder = {"name": "small", "widths": (6, 8), "dtype": "float32"}
    return ConfigDict(
        {
            "method": method,
            "model": {"encoder": encoder},
            "optimizer": dataclasses.asdict(settings),
        }
    )


@pytest.fixture(scope="module")
def method():
    return BagOfWords(config_for(), TASK)


def batch_for(number):
    coarse = np.random.default_rng(number).integers(0, 256, (BATCH, 1, 4, 4, 3), dtype=np.uint8)
    images = np.kron(coarse, np.ones((1, 1, 4, 4, 1), np.uint8))
    return {"images": {"image": jnp.asarray(images)}}


@pytest.fixture(scope="module")
def run(method):
    """The states before and after each of three steps."""
    step = jax.jit(make_step(method))
    states = [jax.jit(lambda: init_state(method, jax.random.key(0)))()]
    for number in range(3):
        states.append(step(states[-1], batch_for(number))[0])
    return states


def test_levels_are_the_last_maps(method):
    assert list(method.shapes) == ["stage1", "stage2"]
    assert method.shapes["stage2"] == (4, 4, 8)
    for levels in (0, 3):
        with pytest.raises(ValueError, match="from 1 to 2"):
            BagOfWords(config_for(levels=levels), TASK)


def test_vocabularies_begin_at_rectified_noise_and_take_a_word_of_each_image(method, run):
    first = run[0].memory["queues"][1]
    assert first.shape == (WORDS, 8)
    assert jnp.mean(first == 0) == pytest.approx(0.5, abs=0.15)
    for number, state in enumerate(run[1:], start=1):
        rows = np.arange((number - 1) * BATCH, number * BATCH) % WORDS
        for level in range(2):
            before, after = (run[i].memory["queues"][level] for i in (number - 1, number))
            moved = np.any(np.asarray(before) != np.asarray(after), axis=1)
            assert np.flatnonzero(moved).tolist() == sorted(rows)
        assert int(state.memory["pointers"][0]) == number * BATCH % WORDS


def test_the_teacher_moves_before_it_looks_and_the_student_is_not_averaged_with_it(method, run):
    for number in range(3):
        momentum = 1 - 0.5 * (np.cos(np.pi * number / 10) + 1) / 2
        student = run[number].params["online"]["encoder"]["stage1_conv1"]["kernel"]
        before = run[number].memory["teacher"]["stage1_conv1"]["kernel"]
        after = run[number + 1].memory["teacher"]["stage1_conv1"]["kernel"]
        np.testing.assert_allclose(after, momentum * before + (1 - momentum) * student, atol=1e-6)
    assert np.any(run[3].params["online"]["encoder"]["stage1_conv1"]["kernel"] != after)


def test_the_mean_smallest_distance_is_that_of_the_teachers_inner_places(method, run):
    state = method.before_step(run[1])
    weights = {"params": state.memory["teacher"], **state.memory["teacher_variables"]}
    images = batch_for(1)["images"]["image"][:, 0].astype(jnp.float32) / 255
    outputs, _ = method.teacher.apply(weights, images, True, mutable=["batch_stats"])
    for level, name in enumerate(("stage1", "stage2")):
        rows = np.asarray(outputs[name][:, 1:-1, 1:-1], np.float64)
        words = np.asarray(state.memory["queues"][level], np.float64)
        distances = ((rows[..., None, :] - words) ** 2).sum(-1)
        expected = 0.99 * state.memory["distances"][level] + 0.01 * distances.min(-1).mean()
        np.testing.assert_allclose(run[2].memory["distances"][level], expected, rtol=1e-5)


def test_the_teacher_sees_the_centre_of_the_image_and_the_student_all_of_it():
    """Of 16 pixels the share 0.875 is 14, which a view of 14 pixels shows as they are."""
    config = config_for(center=0.875)
    config.method.view.size = 14
    images = batch_for(0)["images"]["image"][:, 0]
    method = BagOfWords(config, TASK)
    views = method.views(jax.random.key(0), {"images": {"image": images}})
    pixels = np.asarray(images, np.float32) / 255
    np.testing.assert_allclose(views["whole"], pixels[:, 1:-1, 1:-1], atol=1e-6)
    for crop in range(2):
        np.testing.assert_allclose(views["crops"][0][:, crop], pixels, atol=1e-6)
    cut = {f"crop{i}": images for i in range(4)}
    cut["crop0"], cut["crop3"] = images[:, 1:-1, 1:-1], images[:, :8, :8]
    with pytest.raises(ValueError, match=r"center=0\.875 is cut from whole images"):
        method.views(jax.random.key(0), {"images": cut})


def first_loss(method, images):
    """The loss of an untrained method."""
    state = init_state(method, jax.random.key(0))
    views = method.views(jax.random.key(1), {"images": images})
    return method.loss(state.params["online"], Turn(state, views, jax.random.key(2)))[0]


def test_crops_of_either_size_count_alike_however_many():
    """The loss is a sum over sizes of means over crops and levels."""
    losses = []
    for crops, local in ((1, 0), (3, 0), (1, 2)):
        method = BagOfWords(config_for(crops=crops, local_crops=local), TASK)
        # One and the same crop: no part of these views is random.
        images = {name: x[:, 0] for name, x in batch_for(0)["images"].items()}

        losses.append(float(jax.jit(functools.partial(first_loss, method, images))()))
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
    assert losses[2] > 1.5 * losses[0]


def test_the_score_is_the_share_of_other_images_whose_words_fit_less(method, run):
    assert isinstance(method, PretextSolver)
    assert method.chance() == {"words_accuracy": 0.5}
    images = {"image": batch_for(0)["images"]["image"][:, 0]}
    scores = method.solve(run[3], images, jax.random.key(0))["words_accuracy"]
    assert scores.shape == (BATCH,)
    np.testing.assert_allclose(np.asarray(scores) * (BATCH - 1) % 1, 0, atol=1e-5)
    # All images alike: none fits less than another.
    same = {"image": jnp.broadcast_to(images["image"][:1], images["image"].shape)}
    np.testing.assert_array_equal(
        method.solve(run[3], same, jax.random.key(0))["words_accuracy"], 0
    )
    picture = method.show(run[3], images, jax.random.key(0))
    assert picture.shape == (BATCH, 3, SIZE, SIZE, 3)
    np.testing.assert_array_equal(picture[:, 2], images["image"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(queue_size=6), "queue_size=6"),
        (dict(crops=0), "one crop"),
        (dict(center=0.0), "above 0"),
        (dict(center=1.5), "at most 1"),
    ],
)
def test_what_does_not_fit_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        BagOfWords(config_for(**changes), TASK)
