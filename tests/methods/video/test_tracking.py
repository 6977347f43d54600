"""Pairs of tracked patches: which are ranked, when negatives become hard, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.contract import Task
from ssljax.methods.pretext_task import Question
from ssljax.methods.video.tracking import Tracking, TrackingTask

TASK = Task((24, 24, 3), batch_size=4, total_steps=9, steps_per_epoch=3)


PLACES = jnp.array([5, 6, 7, 8])


def task_for(**changes):
    config = TrackingTask.default_config()
    config.view.size = 16
    config.update(dict(jitter=1, border=1) | changes)
    return TrackingTask(config, TASK, "float32")


def tracks(frames=2, **fields):
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (4, frames, 24, 24, 3), dtype=np.uint8)
    return {"clip": jnp.asarray(clip), **fields}


def targets(labels, places=PLACES):
    return {"video": labels, "there": places >= 0}


def angles(degrees):
    turned = jnp.deg2rad(jnp.asarray(degrees, jnp.float32))
    return {"embeddings": jnp.stack([jnp.cos(turned), jnp.sin(turned)], axis=-1)}


def test_the_score_is_the_share_of_other_videos_patches_that_are_further():
    task = task_for()
    outputs = angles([[0, 40], [20, 25], [90, 180], [30, 31]])
    labels = jnp.array([0, 1, 2, 0])
    scores = task.scores(outputs, targets(labels))["ranking_accuracy"]
    # From 0: 40 is its own; 20, 25, 90, 180 are others, the last row is of its video. From 20:
    # 5; 20, 20, 70, 160, 10, 11. From 90: 90; 90, 50, 70, 65, 60, 59. From 30: 1; 10, 5, 60, 150.
    np.testing.assert_allclose(scores, [0.5, 1.0, 0.0, 1.0])
    # Without videos all others count: from 0 at 40, 30 and 31 are nearer.
    alone = task.scores(outputs, targets(jnp.full(4, -1)))["ranking_accuracy"]
    np.testing.assert_allclose(alone[0], 2 / 6)
    # What fills a batch up is not compared with, and who has nobody to compare with guesses.
    filled = task.scores(outputs, targets(labels, jnp.array([5, -1, 7, -1])))
    np.testing.assert_allclose(filled["ranking_accuracy"][0], 1.0)
    same = task.scores(outputs, targets(jnp.zeros(4, jnp.int32)))
    np.testing.assert_array_equal(same["ranking_accuracy"], 0.5)


def test_embeddings_that_are_all_the_same_score_nothing():
    task = task_for()
    same = {"embeddings": jnp.ones((4, 2, 3))}
    scores = task.scores(same, targets(jnp.arange(4)))
    np.testing.assert_array_equal(scores["ranking_accuracy"], 0.0)


def test_negatives_are_random_at_first_and_hard_after_some_epochs(tiny):
    # VIEW has no jitter, and an epoch of the tiny task has four steps.
    changes = dict(hidden_dim=8, embedding_dim=8, jitter=0, border=0)
    method = tiny.build(Tracking, random_epochs=1.5, **changes)
    clips = np.random.default_rng(0).integers(0, 256, (16, 2, 8, 8, 1), dtype=np.uint8)
    views = method.views(jax.random.key(0), {"clips": {"clip": jnp.asarray(clips)}})
    state = tiny.init(method)
    found = {}
    for step in (0, 5, 6, 40):
        loss, aux = tiny.loss(method, state.replace(step=jnp.int32(step)), views)
        found[step] = loss, float(aux.metrics["hard_negatives"])
    assert [hard for _, hard in found.values()] == [0, 0, 2, 2]
    assert found[0][0] == found[5][0] < found[6][0] == found[40][0]


def test_negatives_and_videos_are_drawn_and_read_for_each_track():
    task = task_for()
    ask = jax.jit(task.ask)
    question, other = (
        ask(jax.random.key(key), tracks(video=jnp.arange(4), label=jnp.zeros(4), index=PLACES))
        for key in (1, 2)
    )
    assert question.inputs.shape == (4, 2, 16, 16, 3)
    draws = np.asarray(question.targets["draws"])
    assert draws.shape == (4, 4, 2, 2)
    assert len(np.unique(draws)) == draws.size
    assert np.all(draws != np.asarray(other.targets["draws"]))
    assert question.targets["video"].tolist() == [0, 1, 2, 3]
    unknown = jax.eval_shape(task.ask, jax.random.key(1), tracks()).targets
    assert unknown.keys() == question.targets.keys()


def test_pictures_show_the_nearest_patch_of_another_video():
    task = task_for()
    inputs = np.random.default_rng(0).normal(size=(4, 2, 16, 16, 3))
    labels = jnp.array([0, 1, 2, 0])
    question = Question(jnp.asarray(inputs, jnp.float32), targets(labels))
    outputs = angles([[0, 40], [20, 25], [90, 180], [30, 31]])
    picture = np.asarray(task.picture(outputs, question))
    shown = np.asarray(task.to_pixels(question.inputs))
    assert picture.shape == (4, 4, 16, 16, 3)
    np.testing.assert_allclose(picture[:, :2], shown)
    np.testing.assert_allclose(picture[0, 2], shown[1, 0])
    np.testing.assert_allclose(picture[1, 2], shown[3, 0])
    np.testing.assert_array_equal(picture[:, 3, 0, 0, 1], [0, 1, 0, 1])


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match="from 0 to all of them"):
        task_for(hard=5)
    with pytest.raises(ValueError, match="crop_scale=None"):
        task_for(view=dict(crop_scale=(0.5, 1.0)))
    with pytest.raises(ValueError, match=r"of 2 frames.* 3: set data.frames=2"):
        task_for().ask(jax.random.key(0), tracks(frames=3))
