"""Orders of frames: which are asked about, what counts, and what is refused."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.contract import Task
from ssljax.methods.pretext_task import Question
from ssljax.methods.video.shuffle_and_learn import (
    FrameOrderHead,
    ShuffleAndLearnTask,
    permutations,
    tuples,
)

TASK = Task((20, 20, 3), batch_size=2, total_steps=1, steps_per_epoch=1)


def task_for(**changes):
    config = ShuffleAndLearnTask.default_config()
    config.view.size = 16
    config.update(dict(jitter=1, blur=(), noise=0.0) | changes)
    return ShuffleAndLearnTask(config, TASK, "float32")


def clips(frames, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return {"clip": jnp.asarray(rng.integers(0, 256, (batch, frames, 20, 20, 3), dtype=np.uint8))}


def test_three_of_five_frames_are_in_order_or_not_in_both_directions():
    orders = tuples(0.25)
    words = ["".join("abcde"[place] for place in order) for order in orders.places]
    answers = dict(zip(words, orders.answers.tolist(), strict=True))
    assert answers == {"bcd": 1, "dcb": 1, "bad": 0, "dab": 0, "bed": 0, "deb": 0}
    # One in order to three that are not.
    np.testing.assert_allclose(orders.weights, [1 / 8, 1 / 8, 3 / 16, 3 / 16, 3 / 16, 3 / 16])


def test_an_order_of_four_frames_and_its_reverse_are_one_class_of_twelve():
    orders = permutations(4)
    found = {tuple(order): answer for order, answer in zip(*orders[:2], strict=True)}
    assert set(found) == set(itertools.permutations(range(4)))
    assert all(found[order] == found[order[::-1]] for order in found)
    assert np.bincount(orders.answers).tolist() == [2] * 12
    assert orders.weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("changes", "chance"), [({}, 0.75), ({"positives": 0.5}, 0.5)])
def test_loss_and_score_of_tuples_are_weighed(changes, chance):
    task = task_for(**changes)
    assert task.chance == {"order_accuracy": pytest.approx(chance)}
    logits = np.random.default_rng(0).normal(size=(3, 6, 2))
    share = changes.get("positives", 0.25)
    costs = np.log(np.exp(logits).sum(-1)) - np.where(
        np.arange(6) < 2, logits[..., 1], logits[..., 0]
    )
    expected = share * costs[:, :2].mean() + (1 - share) * costs[:, 2:].mean()
    loss, _ = task.loss({"logits": jnp.asarray(logits, jnp.float32)}, ())
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    never = jnp.tile(jnp.array([1.0, 0.0]), (3, 6, 1))
    np.testing.assert_allclose(task.scores({"logits": never}, ())["order_accuracy"], 1 - share)


def test_sorting_has_a_chance_of_one_in_twelve_and_costs_its_logarithm_at_first():
    task = task_for(form="sorting")
    assert task.chance == {"order_accuracy": pytest.approx(1 / 12)}
    loss, _ = task.loss({"logits": jnp.zeros((2, 24, 12))}, ())
    assert loss == pytest.approx(math.log(12), rel=1e-5)
    right = jax.nn.one_hot(jnp.asarray(task.orders.answers), 12)[None]
    np.testing.assert_allclose(task.scores({"logits": right}, ())["order_accuracy"], 1.0, rtol=1e-6)


def encode(frames):
    return {"features": frames.reshape(len(frames), -1)}


@pytest.mark.parametrize("pairs", [False, True])
def test_every_order_is_answered_as_if_its_frames_had_been_given_in_that_order(pairs):
    orders = permutations(4)
    places = tuple(map(tuple, orders.places.tolist()))
    head = FrameOrderHead(places, 12, pairs, "features", False, 6, 5, 0, False, "float32")
    frames = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 1, 1, 3)), jnp.float32)
    variables = head.init(jax.random.key(0), encode, frames, False)
    whole = head.apply(variables, encode, frames, False)["logits"]
    for number in (3, 17):
        given = head.apply(variables, encode, frames[:, orders.places[number]], False)
        # As they come is the first of the orders.
        np.testing.assert_allclose(given["logits"][:, 0], whole[:, number], rtol=1e-5, atol=1e-6)


def test_without_pairs_or_a_layer_on_all_frames_an_answer_is_a_sum_over_frames():
    """So (b, c, d) and (b, a, d) differ by what the middle says alone, whatever b and d are."""

    def middle_only(order_dim):
        places = tuple(map(tuple, tuples(0.5).places.tolist()))
        head = FrameOrderHead(
            places, 2, False, "features", False, 6, 9, order_dim, False, "float32"
        )
        rng = np.random.default_rng(0)
        frames = jnp.asarray(9 * rng.normal(size=(2, 5, 1, 1, 3)), jnp.float32)
        frames = frames.at[1, jnp.array([0, 2])].set(frames[0, jnp.array([0, 2])])
        variables = head.init(jax.random.key(0), encode, frames, False)
        logits = head.apply(variables, encode, frames, False)["logits"]
        differences = logits[:, 0] - logits[:, 2]
        return np.allclose(differences[0], differences[1], atol=1e-5)

    assert middle_only(0)
    assert not middle_only(64)


@pytest.mark.parametrize(("form", "frames", "columns"), [("tuples", 5, 12), ("sorting", 4, 13)])
def test_pictures_show_the_orders_and_whether_they_are_told(form, frames, columns):
    task = task_for(form=form)
    inputs = np.random.default_rng(0).normal(size=(2, frames, 16, 16, 3))
    question = Question(jnp.asarray(inputs, jnp.float32))
    right = jax.nn.one_hot(jnp.asarray(task.orders.answers), len(set(task.orders.answers.tolist())))
    logits = jnp.stack([right, -right])
    picture = np.asarray(task.picture({"logits": logits}, question))
    assert picture.shape == (2, columns, 16, 16, 3)
    assert 0 <= picture.min() <= picture.max() <= 1
    np.testing.assert_array_equal(picture[:, -1, 0, 0], [[0, 1, 0], [1, 0, 0]])
    if form == "sorting":  # Sorted as is said of the first clip, its frames are in order.
        np.testing.assert_allclose(picture[0, 8:12], picture[0, :4], atol=1e-6)
        assert not np.allclose(picture[1, 8:12], picture[1, :4])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(form="triples"), "tuples.*sorting"),
        (dict(positives=1.0), "positives must lie between 0 and 1"),
        (dict(noise=-1.0), "noise"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        task_for(**changes)


@pytest.mark.parametrize(("form", "frames"), [("tuples", 4), ("sorting", 5)])
def test_clips_of_another_number_of_frames_are_refused(form, frames):
    task = task_for(form=form)
    with pytest.raises(ValueError, match=rf"of {9 - frames} frames.* {frames}: set data.frames"):
        task.ask(jax.random.key(0), clips(frames))
