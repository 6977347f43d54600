"""Rotation: four exact copies of one view, and nothing but what is seen that tells their turns."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags
from runs import ROOT
from scipy import ndimage
from sklearn.linear_model import RidgeClassifier

from ssljax.augment import ViewPolicy
from ssljax.methods.contract import Task
from ssljax.methods.pretext.rotation import Rotation, RotationTask

SIDE = 16
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=4, total_steps=1, steps_per_epoch=1)


def task_for(**view):
    config = RotationTask.default_config()
    policy = ViewPolicy(SIDE, crop_scale=None, **view)
    config.view = ConfigDict(dataclasses.asdict(policy))
    return RotationTask(config, TASK, "float32")


def bytes_for(batch, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)


def copies(task, images, key=3):
    ask = jax.jit(lambda images: task.ask(jax.random.key(key), {"image": images}))
    return np.asarray(ask(jnp.asarray(images)).inputs)


def told(pixels):
    """How often a linear classifier tells the turns of copies (batch, 4, ...) it has not seen."""
    values = pixels.reshape(len(pixels), 4, -1)
    half = len(values) // 2
    turns = np.tile(np.arange(4), half)
    model = RidgeClassifier().fit(values[:half].reshape(4 * half, -1), turns)
    return model.score(values[half : 2 * half].reshape(4 * half, -1), turns)


def test_all_four_copies_are_there_and_none_was_resampled():
    images = bytes_for(8)
    found = copies(task_for(crop_padding=4), images)
    assert found.shape == (8, 4, SIDE, SIDE, 3)
    found = 255 * found
    np.testing.assert_allclose(found, np.rint(found), atol=1e-3)
    for image, four in zip(images, np.rint(found), strict=True):
        for turns in range(4):
            np.testing.assert_array_equal(four[turns], np.rot90(four[0], turns))
        shifts = [(i, j) for i in range(9) for j in range(9)]
        padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
        crops = [padded[i : i + SIDE, j : j + SIDE] for i, j in shifts]
        assert any(np.array_equal(four[0], x) for crop in crops for x in (crop, crop[:, ::-1]))


def test_what_is_asked_of_an_image_does_not_depend_on_the_others():
    images, task = bytes_for(6), task_for(crop_padding=4)
    np.testing.assert_array_equal(copies(task, images[:2]), copies(task, images)[:2])


def turned_by_interpolation(images):
    """About the point (side / 2, side / 2), as in many a program: half a pixel off the centre."""
    matrices = [cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), 90 * k, 1) for k in range(4)]
    turned = [[cv2.warpAffine(image, m, (SIDE, SIDE)) for m in matrices] for image in images]
    return np.asarray(turned, np.float32) / 255


def test_residues_tell_the_turn_of_interpolated_copies_and_not_of_ours():
    images = bytes_for(600)

    def residues(x):
        return np.square(x - ndimage.uniform_filter(x, (0, 0, 3, 3, 0)))[..., 0]

    assert told(residues(turned_by_interpolation(images))) > 0.6
    assert told(residues(copies(task_for(flip_p=0.0), images))) < 0.3


def test_borders_tell_the_turn_of_padded_images_and_not_of_shifted_ones():
    white = np.full((400, SIDE, SIDE, 3), 255, np.uint8)
    assert told(copies(task_for(crop_padding=4), white)) < 0.32
    wide = white.copy()
    wide[:, :3] = wide[:, -3:] = 0
    assert told(copies(task_for(flip_p=0.0), wide)) > 0.45
    config = config_flags.ConfigFileFlagParser("config").parse(
        str(ROOT / "configs" / "rotation" / "cifar10.py")
    )
    config.data.resize = "pad"
    with pytest.raises(ValueError, match="Bars around an image would tell"):
        Rotation(config, TASK)


@pytest.mark.parametrize(
    ("name", "side", "parameters"), [("cifar10", 32, 1_411_140), ("imagenet", 224, 57_030_724)]
)
def test_the_published_networks_have_as_many_parameters_as_the_authors(name, side, parameters):
    """With the classifier; how they are made up is told in the tests of the encoders."""
    path = ROOT / "configs" / "rotation" / f"{name}.py"
    config = config_flags.ConfigFileFlagParser("config").parse(str(path))
    method = Rotation(config, dataclasses.replace(TASK, image_shape=(side, side, 3)))
    params, _, _ = jax.eval_shape(method.init, jax.random.key(0))
    assert sum(x.size for x in jax.tree.leaves(params)) == parameters


def test_each_image_is_marked_by_its_four_copies_and_turned_back_by_its_guesses():
    task = task_for(flip_p=0.0)
    images = bytes_for(2)
    question = task.ask(jax.random.key(0), {"image": jnp.asarray(images)})
    guesses = np.array([[0, 1, 2, 3], [0, 0, 2, 1]])
    outputs = {"logits": jnp.asarray(np.eye(4, dtype=np.float32)[guesses])}
    scores = task.scores(outputs, question.targets)
    np.testing.assert_array_equal(scores["rotation_accuracy"], [1.0, 0.5])
    shown = np.asarray(task.picture(outputs, question))
    upright = images / np.float32(255)
    for turns in range(4):
        np.testing.assert_allclose(shown[0, 4 + turns], upright[0], atol=1e-6)
        right = guesses[1, turns] == turns
        assert np.allclose(shown[1, 4 + turns], upright[1], atol=1e-6) == right
