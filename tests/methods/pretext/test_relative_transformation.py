"""AET: what is asked, how answers are marked, and what tells a transformation without a look."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from natural import natural_noise, sharpness, traces
from sklearn.linear_model import Ridge

from ssljax import augment
from ssljax.augment import ViewPolicy
from ssljax.config import file as config_file
from ssljax.methods.contract import Task
from ssljax.methods.pretext.relative_transformation import RelativeTransformationTask

SIDE = 32
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=4, total_steps=1, steps_per_epoch=1)


PLAIN = ViewPolicy(SIDE, None, flip_p=0.0)


def task_for(transformation="projective", view=PLAIN, **changes):
    config = RelativeTransformationTask.default_config()
    config.view = ConfigDict(dataclasses.asdict(view))
    config.update(transformation=transformation, **changes)
    return RelativeTransformationTask(config, TASK, "float32")


def ask(task, images, key=3):
    asked = jax.jit(lambda images: task.ask(jax.random.key(key), {"image": images}))
    return asked(jnp.asarray(images))


def bytes_for(batch, channels=3):
    smooth = natural_noise(batch * channels, SIDE).reshape(batch, channels, SIDE, SIDE)
    return np.rint(255 * np.clip(np.moveaxis(smooth, 1, -1), 0, 1)).astype(np.uint8)


def explained(seen, truth):
    """The share of each parameter's variance that a linear model explains on unseen halves."""
    seen = (seen - seen.mean(0)) / (seen.std(0) + 1e-6)
    half = len(seen) // 2
    error = Ridge(10.0).fit(seen[:half], truth[:half]).predict(seen[half:]) - truth[half:]
    return 1 - np.mean(error**2, axis=0) / np.var(truth[half:], axis=0)


STILL = {"degrees": 0.0, "translate": 0.0, "scale": (1.0, 1.0), "shear": 0.0}


def test_both_images_have_one_crop_one_flip_and_the_views_colours():
    view = ViewPolicy(SIDE, None, crop_padding=4, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.3))
    images = bytes_for(8)
    question = ask(task_for("affine", view, affine=STILL), images)
    np.testing.assert_allclose(question.inputs[:, 1], question.inputs[:, 0], atol=1e-4)
    expected = augment.augment_view(
        view, jax.random.split(jax.random.key(3), 3)[0], jnp.asarray(images)
    )
    np.testing.assert_allclose(question.inputs[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize(("transformation", "count"), [("affine", 6), ("projective", 8)])
def test_the_second_image_is_the_first_one_transformed_by_the_targets(transformation, count):
    task = task_for(transformation)
    images = bytes_for(6)
    question = ask(task, images)
    assert question.targets.shape == (6, count)
    matrices = task.transformation.matrices(question.targets)
    expected = augment.warp(question.inputs[:, 0], matrices, 128 / 255)
    np.testing.assert_allclose(question.inputs[:, 1], expected, atol=1e-3)
    few = ask(task, images[:2])
    np.testing.assert_allclose(few.targets, question.targets[:2], atol=1e-5)


def test_only_affine_answers_are_bounded():
    def encode(images):
        return {"features": 100.0 * jnp.ones((images.shape[0], 3))}

    for transformation, bounded in (("affine", True), ("projective", False)):
        head = task_for(transformation).head
        inputs = jnp.zeros((2, 2, SIDE, SIDE, 3))
        outputs, _ = head.init_with_output(jax.random.key(0), encode, inputs, False)
        assert (np.max(np.abs(outputs["parameters"])) <= 1) == bounded


@pytest.mark.parametrize("transformation", ["affine", "projective"])
def test_the_mean_explains_nothing_and_the_truth_all(transformation):
    task = task_for(transformation)
    truth = jax.jit(task.transformation.sample)(augment.example_keys(jax.random.key(7), 4000))
    score = jax.jit(lambda told: task.scores({"parameters": told}, truth)["explained_variance"])
    np.testing.assert_allclose(score(truth), 1.0)
    mean = jnp.broadcast_to(jnp.mean(truth, axis=0, keepdims=True), truth.shape)
    assert abs(float(jnp.mean(score(mean)))) < 0.1
    assert float(jnp.mean(score(0.5 * (truth + mean)))) == pytest.approx(0.75, abs=0.03)


def zooms(task, targets):
    """How many times larger things become in the middle: a root of the map's determinant there."""
    matrices = np.asarray(task.transformation.matrices(targets), np.float64)
    middle = (SIDE - 1) / 2

    def mapped(x, y):
        place = matrices @ np.array([x, y, 1.0])
        return place[:, :2] / place[:, 2:]

    across = mapped(middle + 0.5, middle) - mapped(middle - 0.5, middle)
    down = mapped(middle, middle + 0.5) - mapped(middle, middle - 0.5)
    return 1 / np.sqrt(np.abs(across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]))


@pytest.mark.parametrize("transformation", ["affine", "projective"])
def test_traces_of_resampling_tell_the_zoom_unless_both_images_are_blurred(transformation):
    images = np.rint(255 * np.clip(natural_noise(1600, SIDE), 0, 1)).astype(np.uint8)

    def told(**changes):
        """Of each parameter and of the zoom, by a weak and by a strong reader."""
        task = task_for(transformation, border="reflect", **changes)
        question = ask(task, images)
        middle = np.asarray(question.inputs)[:, 1, 8:-8, 8:-8]
        truth = np.column_stack([question.targets, zooms(task, question.targets)])
        return [explained(read(middle), truth) for read in (sharpness, traces)]

    cpu = config_file.load("relative_transformation/cifar10:cpu").method
    assert cpu.border == "reflect"
    assert min(zoom[-1] for zoom in told()) > 0.5
    # A guess has 0, and what is fitted to chance has less: up to 0.06 here.
    assert np.max(told(blur=cpu.blur, noise=cpu.noise)) < 0.02


def test_the_outline_tells_the_transformation_unless_the_image_goes_on_as_its_mirror_image():
    """Noise, all of it brighter than the fill, is told from what lies around it."""
    rng = np.random.default_rng(0)
    bright = rng.integers(200, 256, (1000, SIDE, SIDE, 1), dtype=np.uint8)

    def shifts_told(**changes):
        question = ask(task_for("affine", **changes), bright)
        seen = np.asarray(question.inputs)[:, 1, ::4, ::4].reshape(len(bright), -1)
        return explained(seen, np.asarray(question.targets))[2:4]

    assert np.min(shifts_told()) > 0.4
    assert np.max(shifts_told(border="reflect")) < 0.1
    # What lies around is the image's own, and no pixel of the border drawn out.
    question = ask(task_for("affine", border="reflect"), bright[:20])
    flat = np.asarray(question.inputs)[:, 1]
    assert np.mean(np.abs(np.diff(flat, axis=1)) < 1e-6) < 0.01


def test_the_truth_turns_an_image_back():
    task = task_for("projective", projective={"corner_shift": 0.0, "scale": (0.8, 0.9)})
    question = ask(task, bytes_for(4))
    shown = np.asarray(task.picture({"parameters": question.targets}, question))
    assert shown.shape == (4, 3, SIDE, SIDE, 3)
    # Smaller and back again, the image has lost some of its sharpness.
    apart = np.sqrt(np.mean((shown - shown[:, :1])[..., 2:-2, 2:-2, :] ** 2, axis=(2, 3, 4)))
    assert apart[:, 2].max() < 0.09
    assert apart[:, 1].min() > 0.12


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"transformation": "rigid"}, "must be one of affine, projective"),
        ({"border": "wrap"}, "'constant' or 'reflect'"),
        ({"blur": (1.0, 0.5)}, "0 < low <= high"),
        ({"blur": (1.0,)}, "0 < low <= high"),
        ({"noise": -0.1}, "noise must not be negative"),
        ({"projective": {"corner_shift": 0.3}}, "less than a quarter"),
    ],
)
def test_impossible_keys_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        task_for(**changes)
