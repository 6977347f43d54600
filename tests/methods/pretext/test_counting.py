"""Learning to count: tiles and small images, pairs, and what tells one from the other."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from natural import natural_noise, sharpness, traces
from sklearn.linear_model import LogisticRegression

from ssljax import augment, losses, models
from ssljax.augment import ViewPolicy
from ssljax.config import file as config_file
from ssljax.methods.contract import Task
from ssljax.methods.pretext.counting import CountingTask
from ssljax.methods.pretext_task import EncoderWithTask

SIDE = 16
TASK = Task(image_shape=(SIDE, SIDE, 1), batch_size=4, total_steps=1, steps_per_epoch=1)


def task_for(side=SIDE, task=TASK, **changes):
    config = CountingTask.default_config()
    config.view = ConfigDict(dataclasses.asdict(ViewPolicy(side, None, flip_p=0.0)))
    config.update(changes)
    return CountingTask(config, task, "float32")


def ask(task, images, key=3):
    asked = jax.jit(lambda images: task.ask(jax.random.key(key), {"image": images}))
    return asked(jnp.asarray(images)).inputs


def bytes_for(batch, side=SIDE):
    return np.rint(255 * np.clip(natural_noise(batch, side), 0, 1)).astype(np.uint8)


def outputs_for(batch=6, units=5):
    counts = np.random.default_rng(0).gamma(0.5, size=(batch, 5, units)).astype(np.float32)
    return {"counts": jnp.asarray(counts)}


def test_tiles_lie_as_in_the_image_and_every_filter_has_its_share():
    images = bytes_for(300)
    inputs = np.asarray(ask(task_for(), images))
    assert inputs.shape == (300, 5, SIDE // 2, SIDE // 2, 1)
    upper, lower = (np.concatenate([inputs[:, i], inputs[:, i + 1]], 2) for i in (1, 3))
    np.testing.assert_allclose(np.concatenate([upper, lower], 1), images / 255, atol=1e-6)
    whole = jnp.asarray(images.astype(np.float32) / 255)
    by_filter = [augment.halve(whole, jnp.full(300, i)) for i in range(5)]
    errors = np.abs(np.stack(by_filter, 1) - inputs[:, :1]).max((2, 3, 4))
    assert np.all(errors.min(axis=1) < 1e-5)
    shares = np.bincount(errors.argmin(axis=1), minlength=5) / 300
    assert np.all(np.abs(shares - 0.2) < 4 * np.sqrt(0.16 / 300))
    np.testing.assert_array_equal(ask(task_for(), images[:2]), inputs[:2])


def test_the_loss_takes_each_image_of_a_pair_once_as_the_other():
    task, outputs = task_for(), outputs_for()
    counts = np.asarray(outputs["counts"])
    partners = np.array([1, 0, 3, 2, 5, 4])
    loss, logged = task.loss(outputs, ())
    parts = counts[:, 0], counts[:, 1:], counts[partners, 0]
    expected = losses.counting_loss(*map(jnp.asarray, parts))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    own = np.sum((counts[:, 0] - counts[:, 1:].sum(1)) ** 2, axis=1)
    far = np.sum((counts[partners, 0] - counts[:, 1:].sum(1)) ** 2, axis=1)
    np.testing.assert_allclose(logged["own_distance"], np.mean(own), rtol=1e-5)
    np.testing.assert_allclose(logged["other_distance"], np.mean(far), rtol=1e-5)
    np.testing.assert_array_equal(task.scores(outputs, ())["counts_own_image"], own < far)


def test_padding_is_no_other_image_in_an_evaluation():
    task, images = task_for(), bytes_for(6)
    counts = np.asarray(outputs_for(6)["counts"])
    totals, partners = counts[:, 1:].sum(1), np.array([1, 0, 3, 2, 5, 4])
    own, far = (np.sum((counts[i, 0] - totals) ** 2, axis=1) for i in (np.arange(6), partners))
    for index in ((0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, -1), (0, -1, -1, 3, -1, -1)):
        fields = {"image": jnp.asarray(images), "index": jnp.asarray(index, jnp.int32)}
        real = task.ask(jax.random.key(0), fields).targets
        found = np.asarray(task.scores(outputs_for(6), real)["counts_own_image"])
        expected = np.where(np.array(index)[partners] < 0, 0.5, own < far)
        np.testing.assert_array_equal(found, expected)
    # Three images in all can be shown.
    three = {"image": jnp.asarray(images[:3]), "index": jnp.arange(3)}
    question = task.ask(jax.random.key(0), three)
    assert task.picture({"counts": jnp.asarray(counts[:3])}, question).shape[0] == 3


def test_counts_that_are_all_alike_score_as_a_guess():
    scores = task_for().scores({"counts": jnp.ones((4, 5, 3))}, ())
    np.testing.assert_array_equal(scores["counts_own_image"], 0.5)


def test_counts_are_not_negative_and_no_image_sees_another():
    task = task_for(units=7)
    encoder = models.build_encoder("small", widths=(6, 8), **task.encoder_options)
    network = EncoderWithTask(encoder, task.head)
    inputs = ask(task, bytes_for(4))
    outputs, variables = network.init_with_output(jax.random.key(0), inputs, True)
    assert set(variables) == {"params"}
    counts = np.asarray(outputs["counts"])
    assert counts.shape == (4, 5, 7)
    assert counts.min() == 0 < counts.max()
    alone = network.apply(variables, inputs[1:2], True)["counts"]
    np.testing.assert_allclose(alone, counts[1:2], rtol=1e-4, atol=1e-5)


def told(inputs, read=sharpness):
    """How often a linear model tells small images from tiles by their sharpness alone."""
    inputs = np.asarray(inputs)
    seen = read(np.concatenate([inputs[:, 0], inputs[:, 1]]))
    seen = (seen - seen.mean(0)) / seen.std(0)
    small = np.arange(len(seen)) < len(inputs)
    learnt = np.arange(len(seen)) % 2 == 0
    model = LogisticRegression(max_iter=500).fit(seen[learnt], small[learnt])
    return model.score(seen[~learnt], small[~learnt])


def test_filters_tell_a_small_image_from_a_tile_and_a_blur_with_noise_hides_all_of_it():
    # Cut from fields so wide that small images and tiles differ in nothing but how they are made.
    fields = bytes_for(750, 4 * SIDE).reshape(750, 2, 2 * SIDE, 2, 2 * SIDE, 1)
    images = fields.swapaxes(2, 3).reshape(3000, 2 * SIDE, 2 * SIDE, 1)
    # The published filters leave a trace, of which a linear reader of the sharpness sees a part.
    plain = ask(task_for(2 * SIDE), images[:1000])
    random = told(plain)
    assert 0.6 < random < 0.78 < told(plain, traces)
    for name in ("nearest", "bilinear", "bicubic", "lanczos"):
        one = ask(task_for(2 * SIDE, filters=(name,)), images[:1000])
        assert told(one) > max(0.85, random + 0.1)
    cpu = config_file.load("counting/cifar10:cpu").method
    hidden = ask(task_for(2 * SIDE, blur=cpu.blur, noise=cpu.noise), images)
    for read in (sharpness, traces):  # Of 3,000 guesses half are right.
        assert abs(told(hidden, read) - 0.5) < 3 * np.sqrt(0.25 / 3000)


def test_the_cpu_config_leaves_no_outline_of_the_image():
    """Black bars of a shifted image would be half as wide in the small one as in a tile."""
    cpu = config_file.load("counting/cifar10:cpu").method
    task = task_for(2 * SIDE, view=cpu.view)
    inputs = ask(task, np.full((20, 32, 32, 3), 255, np.uint8))
    np.testing.assert_allclose(
        inputs, np.broadcast_to(inputs[:1, :1, :1, :1], inputs.shape), atol=1e-5
    )


def test_the_picture_shows_the_parts_and_the_counts():
    task = task_for(units=10)
    images = bytes_for(2)
    inputs = ask(task, images)
    counts = jnp.zeros((2, 5, 10)).at[:, 0, 3].set(2.0).at[:, 1:, 3].set(0.25)
    question = task.ask(jax.random.key(3), {"image": jnp.asarray(images)})
    shown = np.asarray(task.picture({"counts": counts}, question))
    assert shown.shape == (2, 8, SIDE // 2, SIDE // 2, 1)
    np.testing.assert_allclose(shown[:, :5], np.clip(inputs, 0, 1), atol=1e-6)
    # Ten counts in four rows of four: the fourth is the last one of the first row.
    assert np.all(shown[:, 5, :2, 6:] == 1.0)
    assert np.all(shown[:, 6, :2, 6:] == 0.5)
    assert np.sum(shown[:, 5]) == 2 * 4


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"filters": ("box",)}, "must be some of nearest, area"),
        ({"filters": ()}, "must be some of"),
        ({"side": 15}, "must be even, got 15"),
        ({"task": dataclasses.replace(TASK, batch_size=5)}, "must be even, got 16 and 5"),
        ({"margin": 0.0}, "must be positive"),
        ({"units": 0}, "must be positive"),
        ({"blur": (1.0, 0.1)}, "0 < low <= high"),
        ({"noise": -0.1}, "noise must not be negative"),
    ],
)
def test_impossible_keys_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        task_for(**changes)
