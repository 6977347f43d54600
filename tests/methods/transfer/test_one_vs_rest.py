"""One class against the rest: which class when, and the loss in float64."""

import dataclasses

import gans
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import losses
from ssljax.methods.transfer.one_vs_rest import OneVsRest, balanced_accuracy


def build(**changes):
    discriminator = {"name": "dcgan", "width": 0.03, "norm": "none", "spectral_norm": False}
    return gans.build(OneVsRest, block=2, discriminator=discriminator, **changes)


@pytest.fixture(scope="module")
def method():
    return build()


@pytest.fixture(scope="module")
def state(method):
    return gans.start(method)


@pytest.mark.parametrize(("step", "positive"), [(0, 0), (1, 0), (2, 1), (5, 2), (6, 0), (9, 1)])
def test_the_class_changes_after_each_block_and_comes_back(method, state, step, positive):
    assert method.positive(step) == positive
    views = gans.views(method)
    now = state.replace(step=jnp.int32(step))
    loss, aux = gans.loss(method, "online", now, views)
    images = losses.with_rotations(views["image"])
    outputs = method.network.apply(
        {"params": state.params["online"], **state.variables["online"]}, images, False
    )
    logits = np.asarray(losses.upright_only(outputs["logits"]), np.float64)
    is_positive = np.asarray(views["label"]) == positive
    # Three classes: a positive counts 3/2, one of the two others 3/4.
    entropies = gans.softplus(np.where(is_positive, -logits, logits))
    task = np.mean(np.where(is_positive, 1.5, 0.75) * entropies)
    turns = losses.in_four_orientations(outputs["rotation"]).reshape(-1, 4)
    rotation = gans.cross_entropy(turns, np.tile(np.arange(4), len(turns) // 4))
    np.testing.assert_allclose(aux.metrics["task_loss"], task, rtol=1e-5)
    np.testing.assert_allclose(loss, task + rotation, rtol=1e-5)


def test_without_its_weight_the_rotation_loss_is_only_told(method, state):
    views = gans.views(method)
    alone, aux = gans.loss(build(rotation_weight=0.0), "online", state, views)
    np.testing.assert_allclose(alone, aux.metrics["task_loss"], rtol=1e-6)
    assert float(aux.metrics["rotation_loss"]) > 0


def test_the_score_is_the_logit_and_no_class_score_is_given(method, state):
    images = gans.batch(0)["images"]["image"][:, 0]
    found = gans.features(method, state, images)
    outputs = method.network.apply(
        {"params": state.params["online"], **state.variables["online"]},
        images.astype(jnp.float32) / 127.5 - 1,
        False,
    )
    np.testing.assert_allclose(found["score"][:, 0], outputs["logits"], rtol=1e-4, atol=1e-6)
    assert "logits" not in found
    assert {"block1", "block2", "features"} <= set(found)


@pytest.mark.parametrize(
    ("logits", "labels", "expected"),
    [
        ([1, 1, -1, -1], [1, 1, 0, 0], 1.0),
        ([1, -1, -1, -1], [1, 1, 0, 0], 0.75),
        ([-1, -1, -1, -1], [1, 0, 0, 0], 0.5),  # Nine in ten right would be 0.9 unbalanced.
        ([-1, -1], [0, 0], 0.75),  # Nothing is known of the class.
    ],
)
def test_both_sides_of_the_accuracy_count_alike(logits, labels, expected):
    found = balanced_accuracy(jnp.asarray(logits, jnp.float32), jnp.asarray(labels, bool))
    assert float(found) == expected


def test_it_needs_labels_and_blocks():
    with pytest.raises(ValueError, match=r"method\.block is 0"):
        gans.build(OneVsRest, block=0)
    with pytest.raises(ValueError, match="labels"):
        gans.build(OneVsRest, dataclasses.replace(gans.TASK, num_classes=None))
