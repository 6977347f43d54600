"""Motion segmentation: what is asked of a frame, the loss and the marks in float64, evaluations."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import masked
import numpy as np
import pytest

from ssljax import methods
from ssljax.augment import ViewPolicy
from ssljax.config.base import base_config
from ssljax.errors import UserError
from ssljax.evals import Run
from ssljax.evals.pretext import Pretext
from ssljax.methods.contract import Task
from ssljax.methods.pretext.multi_task import MultiTask
from ssljax.methods.video.motion_segmentation import (
    MotionSegmentation,
    MotionSegmentationTask,
    intersection_over_union,
)
from ssljax.run.experiment import Experiment
from ssljax.run.step import init_state

BATCH, SIDE, PLACES = 4, 16, 4
TASK = Task(image_shape=(SIDE, SIDE, 3), batch_size=BATCH, total_steps=60, steps_per_epoch=4)
PLAIN = dataclasses.asdict(ViewPolicy(SIDE, crop_scale=None, flip_p=0.0))


def make(**changes):
    config = MotionSegmentationTask.default_config()
    config.update(dict(places=PLACES, view=PLAIN) | changes)
    return MotionSegmentationTask(config, TASK, "float32")


def bright_things():
    """Frames in which what moves is bright, a square of void in one, and a frame all void."""
    rng = np.random.default_rng(0)
    masks = np.kron(rng.integers(0, 2, (BATCH, 4, 4)), np.ones((1, 4, 4), int)).astype(np.int32)
    masks[1, :8, :8] = -1
    masks[3] = -1
    frames = np.where(masks[..., None] > 0, 230, 20).astype(np.uint8)
    return {"image": jnp.asarray(np.repeat(frames, 3, axis=-1)), "mask": jnp.asarray(masks)}


def test_the_mask_goes_with_its_frame():
    view = dataclasses.asdict(ViewPolicy(SIDE, crop_scale=(0.3, 1.0), flip_p=0.5))
    images = bright_things()
    images["image"], images["mask"] = (
        jnp.concatenate([images[name][:1]] * 16) for name in ("image", "mask")
    )
    question = jax.jit(make(view=view, places=SIDE).ask)(jax.random.key(1), images)
    seen, moves = np.asarray(question.inputs[..., 0]), np.asarray(question.targets["mask"])
    assert len({row.tobytes() for row in moves}) > 8  # Views differ, and between dark and bright
    unclear = (seen > 0.3) & (seen < 0.7)  # is an edge.
    np.testing.assert_array_equal((seen > 0.5)[~unclear], (moves == 1)[~unclear])
    # Of fewer places each has the pixel in its middle.
    coarse = make().ask(jax.random.key(0), bright_things()).targets["mask"]
    np.testing.assert_array_equal(coarse, bright_things()["mask"][:, 2::4, 2::4])


def test_loss_is_the_cross_entropy_of_sure_places_in_float64():
    targets = make().ask(jax.random.key(0), bright_things()).targets
    logits = 3 * np.random.default_rng(1).normal(size=(BATCH, PLACES, PLACES))
    mask = np.asarray(targets["mask"])
    said = 1 / (1 + np.exp(-logits))
    terms = -np.where(mask > 0, np.log(said), np.log1p(-said)) * (mask >= 0)
    wanted = np.sum(terms) / (3 * PLACES**2)  # The last frame has no sure place.

    def loss(logits):
        return make().loss({"logits": logits}, targets)

    (value, logged), grad = jax.value_and_grad(loss, has_aux=True)(jnp.float32(logits))
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    slopes = (said - (mask > 0)) * (mask >= 0) / (3 * PLACES**2)
    np.testing.assert_allclose(grad, slopes, rtol=1e-5, atol=1e-8)
    assert float(logged["moving"]) == pytest.approx(np.mean(mask > 0))
    assert float(logged["sure"]) == pytest.approx(np.mean(mask >= 0))


def test_intersection_over_union_counts_sure_places_alone():
    mask = [[[1, 1], [0, -1]], [[0, 0], [-1, -1]], [[0, 1], [1, 1]], [[-1, -1], [-1, -1]]]
    said = [[[1, 0], [1, 1]], [[0, 0], [1, 1]], [[1, 0], [0, 0]], [[1, 0], [0, 0]]]
    found = intersection_over_union(jnp.asarray(said, bool), jnp.asarray(mask))
    np.testing.assert_allclose(found, [1 / 3, 1.0, 0.0, np.nan])
    question = make().ask(jax.random.key(0), bright_things())
    moves, sure = question.targets["mask"] > 0, question.targets["mask"] >= 0
    shares = np.sum(moves, axis=(1, 2))[:3] / np.sum(sure, axis=(1, 2))[:3]
    np.testing.assert_allclose(make().guess(question)["motion_iou"], [*shares, np.nan], rtol=1e-6)


def test_a_picture_shows_the_frame_what_is_said_and_what_moves():
    question = make().ask(jax.random.key(0), bright_things())
    outputs = {"logits": jnp.full((BATCH, PLACES, PLACES), np.log(3.0))}
    frame, said, truth = jnp.moveaxis(make().picture(outputs, question), 1, 0)
    np.testing.assert_allclose(frame, bright_things()["image"] / 255, atol=1e-6)
    np.testing.assert_allclose(said, 0.75, rtol=1e-6)
    wanted = np.choose(np.asarray(bright_things()["mask"]) + 1, [0.5, 0.0, 1.0])
    np.testing.assert_allclose(truth[..., 1], wanted)


def configure(config):
    config.batch_size, config.steps = 8, 4
    folder = str(masked.folder(SIDE, classes=2))
    config.data.update(name="folder", dir=folder, image_size=SIDE, mask_classes=2)
    config.model.encoder.update(name="small", widths=(4, 8))
    config.evals.update(final=("pretext",), batch_size=8)
    return config


@pytest.mark.parametrize("changes", [{"layer": "stage2"}, {"head_dim": 4}])
def test_one_layer_or_convolutions_tell_the_places(changes):
    config = base_config("motion_segmentation")
    config.model.encoder.update(name="small", widths=(4, 8))
    config.method.update(dict(places=PLACES, view=PLAIN) | changes)
    method = MotionSegmentation(config, TASK)
    shapes = jax.eval_shape(lambda: init_state(method, jax.random.key(0))).params["online"]["head"]
    if "layer" in changes:  # Of 4x4 places and 8 channels.
        assert shapes["classifier"]["kernel"].shape == (4 * 4 * 8, PLACES**2)
    else:
        assert all(x.shape[2:] != (PLACES**2,) for x in jax.tree.leaves(shapes))
    outputs = jax.eval_shape(
        lambda state: method.solve(state, bright_things(), jax.random.key(0)),
        jax.eval_shape(lambda: init_state(method, jax.random.key(0))),
    )
    assert outputs["motion_iou"].shape == (BATCH,)
    config.method.layer, config.method.head_dim = "stage7", 0
    with pytest.raises(ValueError, match=r"method\.layer is 'stage7'"):
        jax.eval_shape(lambda: init_state(MotionSegmentation(config, TASK), jax.random.key(0)))


def test_it_is_asked_about_frames_with_masks(monkeypatch):
    config = configure(base_config("motion_segmentation"))
    config.method.update(places=PLACES, head_dim=4, view=PLAIN)
    run = Run(Experiment(config))
    assert Pretext().check(run) == ("motion_iou",)
    score = Pretext().score(run, None).values["motion_iou"]
    masks = run.experiment.load(run.open("test").source)["mask"][:, 2::4, 2::4]
    wanted = np.mean([np.sum(mask > 0) / np.sum(mask >= 0) for mask in masks])
    assert score == pytest.approx(wanted, rel=1e-5)

    def half_known(self, question):
        rows = jnp.arange(len(question.targets["mask"]))
        return {"motion_iou": jnp.where(rows % 2 == 0, 0.25, jnp.nan)}

    monkeypatch.setattr(MotionSegmentation.task_type, "guess", half_known)
    assert Pretext().score(Run(Experiment(config)), None).values["motion_iou"] == 0.25
    config.evals.name = "digits"
    with pytest.raises(UserError, match="has no field 'mask', which the questions of"):
        Pretext().check(Run(Experiment(config)))


def several(tasks=("rotation", "motion_segmentation"), **frames):
    config = configure(base_config("multi_task"))
    config.method.tasks = tasks
    config.method.frames.update(frames)
    for view in (config.method.rotation.view, config.method.motion_segmentation.view):
        view.update(PLAIN)
    config.method.motion_segmentation.update(places=PLACES, head_dim=4)
    config.method.view.update(PLAIN)
    return config


def test_among_several_tasks_it_alone_reads_masks():
    assert {name: feed.fields for name, feed in methods.feeds(several()).items()} == {
        "images": ("image", "mask")
    }
    assert methods.feeds(several(("rotation",)))["images"].fields == ("image",)
    apart = methods.feeds(several(name="folder"))
    assert {name: (feed.fields, feed.data) for name, feed in apart.items()} == {
        "images": (("image",), "data"),
        "frames": (("image", "mask"), "method.frames"),
    }


def test_among_several_tasks_it_takes_its_part_of_the_frames():
    config = several(dir="elsewhere")
    method = MultiTask(config, dataclasses.replace(TASK, batch_size=8))
    frames = {name: jnp.concatenate([x, x]) for name, x in bright_things().items()}
    images = {"image": jnp.zeros((8, SIDE, SIDE, 3), jnp.uint8)}
    batch = {"images": images, "frames": frames}
    views = jax.jit(functools.partial(method.views, jax.random.key(0)))(batch)
    np.testing.assert_array_equal(
        views["motion_segmentation"].targets["mask"], frames["mask"][1::2, 2::4, 2::4]
    )
    assert not np.any(views["rotation"].inputs)
    # Images are asked about what they have.
    assert set(method.chance()) == {"rotation/rotation_accuracy"}
    whole = MultiTask(several(), dataclasses.replace(TASK, batch_size=8))
    assert set(whole.chance()) == {"rotation/rotation_accuracy", "motion_segmentation/motion_iou"}


def test_places_that_are_finer_than_the_view_are_told():
    with pytest.raises(ValueError, match=r"method\.places is 17; it must be from 1 to 16"):
        make(places=17)
