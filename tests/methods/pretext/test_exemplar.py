"""Exemplars: classes by the place in the set, and triplets."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax.augment import ViewPolicy
from ssljax.methods.contract import Task
from ssljax.methods.pretext.exemplar import ExemplarTask

SIZE, IMAGES = 8, 5
TASK = Task((16, 16, 3), batch_size=4, total_steps=1, steps_per_epoch=1, num_images=IMAGES)


def task_for(**changes):
    config = ExemplarTask.default_config()
    config.view = ConfigDict(dataclasses.asdict(ViewPolicy(SIZE)))
    config.update(changes)
    return ExemplarTask(config, TASK, "float32")


def batch(places, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (IMAGES, 16, 16, 3), dtype=np.uint8)
    return {"image": jnp.asarray(images[places]), "index": jnp.asarray(places, jnp.int32)}


def test_the_class_of_an_image_is_its_place_and_its_views_are_about_one_anchor():
    still = dict(scale=(1.0, 1.0), shift=0.0, degrees=0.0, flip_p=0.0)
    task = task_for(crops=2, **{"patch": ConfigDict(task_for().config.patch.to_dict() | still)})
    places = np.array([3, 0, 4])
    question = task.ask(jax.random.key(0), batch(places))
    assert question.inputs.shape == (3, 2, SIZE, SIZE, 3)
    np.testing.assert_array_equal(question.targets, places)

    def order(view):
        """The colours differ from view to view, which pixels are alike does not."""
        gray = np.asarray(view).mean(-1).reshape(-1)
        return np.corrcoef(gray, np.asarray(views[0, 0]).mean(-1).reshape(-1))[0, 1]

    views = question.inputs
    later = task.ask(jax.random.key(9), batch(places)).inputs
    assert abs(order(views[0, 1])) > 0.3
    assert abs(order(later[0, 0])) > 0.3
    assert not np.allclose(views[0, 0], views[0, 1], atol=1e-2)
    # In another place of the batch, the image is the same class about the same anchor.
    other = task.ask(jax.random.key(0), batch(np.array([4, 3]))).inputs[1, 0]
    assert abs(order(other)) > 0.3


def test_each_image_is_a_class_and_what_fills_a_batch_up_counts_for_nothing():
    task = task_for()
    assert task.chance == {"exemplar_accuracy": 1 / IMAGES}
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(4, 1, IMAGES)), jnp.float32)
    places = jnp.array([2, -1, 0, -1])
    loss, _ = task.loss({"logits": logits}, places)
    terms = jax.nn.logsumexp(logits[:, 0], axis=1)
    expected = (terms[0] - logits[0, 0, 2] + terms[2] - logits[2, 0, 0]) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    slopes = jax.grad(lambda x: task.loss({"logits": x}, places)[0])(logits)
    assert not np.any(slopes[jnp.array([1, 3])])
    sure = jax.nn.one_hot(jnp.array([2, 0, 1, 0]), IMAGES)[:, None]
    scores = task.scores({"logits": sure}, places)["exemplar_accuracy"]
    np.testing.assert_array_equal(scores, [1.0, 0.0, 0.0, 0.0])


def test_triplets_are_marked_by_how_many_other_images_are_further():
    task = task_for(form="triplet", crops=2)
    assert not task.seen_only
    angles = jnp.deg2rad(jnp.array([[0.0, 40.0], [20.0, 25.0], [90.0, 180.0]]))
    logits = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1)
    places = jnp.arange(3)
    scores = task.scores({"logits": logits}, places)["triplet_accuracy"]
    # To the second view: 40, 5 and 90 degrees; to the others' first: 20, 90; 20, 70; 90, 70.
    np.testing.assert_allclose(scores[:2], [0.5, 1.0])
    same = task.scores({"logits": jnp.ones((3, 2, 2))}, places)["triplet_accuracy"]
    np.testing.assert_array_equal(same, 0.0)
    # What fills a batch up is not compared with.
    filled = jnp.concatenate([logits, jnp.zeros((5, 2, 2))])
    places = jnp.array([0, 1, 2, -1, -1, -1, -1, -1])
    alone = task.scores({"logits": filled}, places)["triplet_accuracy"]
    np.testing.assert_allclose(alone[:3], scores)


def test_pictures_show_what_is_told():
    task = task_for()
    question = task.ask(jax.random.key(0), batch(np.array([1, 2])))
    logits = jax.nn.one_hot(jnp.array([1, 3]), IMAGES)[:, None]
    picture = task.picture({"logits": logits}, question)
    np.testing.assert_array_equal(picture[:, 1, 0, 0], [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(picture[:, 0], question.inputs[:, 0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(form="pairs"), "classes, triplet"),
        (dict(form="triplet", crops=1), "needs 2"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        task_for(**changes)
