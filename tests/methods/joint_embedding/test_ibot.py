"""iBOT: both losses in float64, masks, centres, and one head for class token and patches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import models
from ssljax.methods.contract import Turn
from ssljax.methods.joint_embedding.ibot import IBOT
from ssljax.run.step import init_state

OUT = 6
KEY = jax.random.key(5)
SIZES = {"out_dim": OUT, "bottleneck_dim": 4, "projector_hidden_dim": 8, "local_crops": 0}


def softmax(x):
    exponents = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def method(tiny):
    with pytest.MonkeyPatch.context() as patch:
        small = functools.partial(models.VisionTransformer, dim=8, depth=1, heads=2, patch_size=2)
        patch.setitem(models.ENCODERS, "vit_test", small)
        config = tiny.config(IBOT, **SIZES, patch_temperature=0.06)
        config.method.name = "ibot"
        config.model.encoder.update(name="vit_test")
        config.optimizer.update(name="adamw", weight_decay=0.04)
        yield IBOT(config, tiny.task)


@pytest.fixture(scope="module")
def start(tiny, method):
    """An untrained state whose teacher and centres differ from the student and from zero."""
    make = tiny.jit(lambda key: init_state(method, key))
    state, other = make(jax.random.key(0)), make(jax.random.key(1))
    rng = np.random.default_rng(0)
    centers = {name: jnp.float32(rng.normal(size=OUT) / 9) for name in ("center", "patch_center")}
    # After the first epoch of 30, a 120th of the warm-up is one step.
    return state.replace(memory={"teacher": other.params["online"]} | centers, step=jnp.int32(30))


@pytest.fixture(scope="module")
def at_start(tiny, method, start):
    """Mask, what student and teacher make of two crops, and the loss with both gradients."""
    views = tiny.views()

    def loss(params, teacher):
        state = start.replace(memory=start.memory | {"teacher": teacher})
        return method.loss(params, Turn(state, views, KEY))

    @tiny.jit
    def compute(params, teacher):
        mask_key, drop_key = jax.random.split(KEY)
        mask = method.masks(mask_key, 16)
        student = method.outputs(params, views, lambda x: x, mask, drop_key)
        target = method.outputs(teacher, views, lambda x: x)
        gradient = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        return mask, student, target, gradient(params, teacher)

    return compute(start.params["online"], start.memory["teacher"])


def test_defaults_are_the_papers():
    config = IBOT.default_config()
    assert (config.student_temperature, config.teacher_temperature) == (0.1, 0.07)
    assert (config.patch_temperature, config.teacher_warmup_temperature) == (0.07, 0.04)
    assert (config.mask_probability, config.mask_ratios) == (0.5, (0.1, 0.5))
    assert (config.out_dim, config.local_crops) == (8192, 10)
    assert (config.momentum, config.center_momentum, config.clip_each) == (0.996, 0.9, 3.0)
    assert config.view1.crop_scale == config.view2.crop_scale == (0.25, 1.0)
    assert config.local_view.crop_scale == (0.05, 0.25)


def test_losses_are_the_papers_in_float64(start, at_start):
    mask, student, teacher, ((value, aux), _) = at_start
    centers = {
        name: np.asarray(start.memory[name], np.float64) for name in ("center", "patch_center")
    }
    student, teacher = (
        {name: np.asarray(x, np.float64) for name, x in outputs.items()}
        for outputs in (student, teacher)
    )
    # Step 30 of 120: a quarter of the way from 0.04.
    targets = softmax((teacher["logits"] - centers["center"]) / (0.04 + 0.03 / 4))
    said = np.log(softmax(student["logits"] / 0.1))
    whole = -np.mean([np.sum(targets[:, i] * said[:, 1 - i], axis=-1).mean() for i in (0, 1)])
    targets = softmax((teacher["patch_logits"] - centers["patch_center"]) / (0.04 + 0.02 / 4))
    said = np.log(softmax(student["patch_logits"] / 0.1))
    total = 0.0
    for image in range(16):
        for crop in range(2):
            places = np.flatnonzero(np.asarray(mask)[image, crop])
            if len(places):
                terms = targets[image, crop, places] * said[image, crop, places]
                total -= terms.sum(axis=-1).mean()
    np.testing.assert_allclose(aux.metrics["class_loss"], whole, rtol=1e-4)
    np.testing.assert_allclose(aux.metrics["patch_loss"], total / 32, rtol=1e-4)
    np.testing.assert_allclose(value, whole + total / 32, rtol=1e-4)


def test_student_alone_learns_and_sees_its_mask(at_start):
    mask, student, teacher, (_, (own, theirs)) = at_start
    assert all(np.any(leaf) for leaf in jax.tree.leaves(own))
    assert np.any(own["mask_token"])
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(theirs))
    hidden = np.asarray(mask)
    shares = hidden.mean(axis=2)
    assert 0.2 < np.mean(shares == 0) < 0.8
    assert shares.max() <= 0.5
    assert student["patch_logits"].shape == teacher["patch_logits"].shape == (16, 2, 16, OUT)


def test_centres_move_to_the_means_of_class_tokens_and_of_all_patches(method, start, at_start):
    _, _, teacher, ((_, aux), _) = at_start
    after = method.after_step(start, aux.carry).memory
    for name, logits in (("center", "logits"), ("patch_center", "patch_logits")):
        mean = np.asarray(teacher[logits], np.float64).reshape(-1, OUT).mean(axis=0)
        expected = 0.9 * np.asarray(start.memory[name], np.float64) + 0.1 * mean
        np.testing.assert_allclose(after[name], expected, rtol=1e-4, atol=1e-6)


def test_one_head_serves_both_and_evaluations_get_no_logits(method, start):
    assert set(start.params["online"]) == {"encoder", "projector", "mask_token"}
    images = jnp.zeros((2, 8, 8, 1), jnp.uint8)
    found = method.features(start, images)
    assert set(found) == {"block1", "tokens", "features", "projector1", "projector2", "projector3"}
    assert set(method.trained_weights(start)[0]) == {"encoder", "projector"}
