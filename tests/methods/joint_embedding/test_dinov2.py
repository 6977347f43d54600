"""DINOv2: losses in float64, codes of Sinkhorn, masks of half the crops, and heads of their own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import models
from ssljax.methods.contract import Turn
from ssljax.methods.joint_embedding.dinov2 import DINOv2
from ssljax.run.step import init_state

KEY = jax.random.key(5)
SIZES = {
    "out_dim": 6,
    "patch_out_dim": 5,
    "bottleneck_dim": 4,
    "patch_bottleneck_dim": 3,
    "projector_hidden_dim": 8,
    "local_crops": 0,
    "teacher_warmup_epochs": 0.0,
    "weight_decay_end": 0.04,
}


def codes_of(logits, temperature):
    """Three passes of Sinkhorn, prototypes and then samples, without logarithms."""
    q = np.exp(logits / temperature)
    for _ in range(3):
        q /= q.sum(axis=0, keepdims=True)
        q /= q.sum(axis=1, keepdims=True)
    return q


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


@pytest.fixture(scope="module")
def method(tiny):
    with pytest.MonkeyPatch.context() as patch:
        small = functools.partial(models.VisionTransformer, dim=8, depth=1, heads=2, patch_size=2)
        patch.setitem(models.ENCODERS, "vit_test", small)
        config = tiny.config(DINOv2, **SIZES)
        config.method.name = "dinov2"
        config.model.encoder.update(name="vit_test", registers=2)
        config.optimizer.update(name="adamw", weight_decay=0.04)
        yield DINOv2(config, tiny.task)


@pytest.fixture(scope="module")
def at_start(tiny, method):
    """State, what is hidden, student and teacher, and the loss with both gradients."""
    make = tiny.jit(lambda key: init_state(method, key))
    state = make(jax.random.key(0)).replace(
        memory={"teacher": make(jax.random.key(1)).params["online"]}
    )
    views = tiny.views()

    def loss(params, teacher):
        turn = Turn(state.replace(memory={"teacher": teacher}), views, KEY)
        return method.loss(params, turn)

    @tiny.jit
    def compute(params, teacher):
        mask_key, drop_key = jax.random.split(KEY)
        hidden = method.hidden(mask_key, 16)
        student = method.outputs(params, views, lambda x: x, hidden.mask, drop_key)
        target = method.outputs(teacher, views, lambda x: x)
        gradient = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        return hidden, student, target, gradient(params, teacher)

    return state, *compute(state.params["online"], state.memory["teacher"])


def test_defaults_are_the_papers():
    config = DINOv2.default_config()
    assert (config.sinkhorn_iterations, config.koleo_weight) == (3, 0.1)
    assert (config.mask_ratios, config.out_dim) == ((0.1, 0.5), 131072)
    assert (config.bottleneck_dim, config.patch_bottleneck_dim) == (384, 256)
    assert (config.momentum, config.weight_decay_end, config.clip_each) == (0.994, 0.2, 3.0)
    assert (config.teacher_warmup_temperature, config.teacher_temperature) == (0.04, 0.07)
    assert config.view1.crop_scale == config.view2.crop_scale == (0.32, 1.0)
    assert (config.local_view.size, config.local_view.crop_scale) == (98, (0.05, 0.32))


def test_one_large_crop_of_each_image_hides_patches_in_even_shares(method):
    hidden = jax.tree.map(np.asarray, jax.jit(lambda key: method.hidden(key, 64))(KEY))
    counts = hidden.mask.sum(axis=2)
    np.testing.assert_array_equal(counts.min(axis=1), 0)
    assert np.all(counts[np.arange(64), 1 - hidden.crop] == 0)
    assert 0.25 < hidden.crop.mean() < 0.75
    assert counts.max() <= 8
    # From a tenth to half of 16: 1 to 8, evenly; blocks leave out a patch or two.
    assert 2 < counts.sum(axis=1).mean() < 4.8
    for image in range(64):
        places = hidden.places[image][hidden.present[image]]
        expected = np.flatnonzero(hidden.mask[image, hidden.crop[image]])
        np.testing.assert_array_equal(np.sort(places), expected)


def test_losses_are_the_papers_in_float64(at_start):
    _, hidden, student, teacher, ((value, aux), _) = at_start
    hidden = jax.tree.map(np.asarray, hidden)
    student, teacher = (
        {name: np.asarray(x, np.float64) for name, x in outputs.items()}
        for outputs in (student, teacher)
    )
    codes = codes_of(teacher["logits"].reshape(32, 6), 0.07).reshape(16, 2, 6)
    said = log_softmax(student["logits"] / 0.1)
    whole = -np.mean([np.sum(codes[:, i] * said[:, 1 - i], axis=-1).mean() for i in (0, 1)])
    where = np.argwhere(hidden.mask)
    codes = codes_of(teacher["patch_logits"][tuple(where.T)], 0.07)
    said = log_softmax(student["patch_logits"][tuple(where.T)] / 0.1)
    counts = hidden.mask.sum(axis=(1, 2))[where[:, 0]]
    patch = -np.sum(np.sum(codes * said, axis=-1) / counts) / 32
    spread = 0.0
    for crop in (0, 1):
        z = student["features"][:, crop]
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
        distances = np.linalg.norm(z[:, None] - z[None], axis=-1) + 9 * np.eye(16)
        spread -= np.log(distances.min(axis=1)).mean()
    np.testing.assert_allclose(aux.metrics["class_loss"], whole, rtol=1e-4)
    np.testing.assert_allclose(aux.metrics["patch_loss"], patch, rtol=1e-4)
    np.testing.assert_allclose(aux.metrics["koleo"], spread, rtol=1e-3)
    np.testing.assert_allclose(value, whole + patch + 0.1 * spread, rtol=1e-4)


def test_student_alone_learns_with_heads_of_their_own(method, at_start):
    state, _, _, _, (_, (own, theirs)) = at_start
    assert set(own) == {"encoder", "projector", "patch_projector", "mask_token"}
    assert own["projector"]["last_layer"].shape == (6, 4)
    assert own["patch_projector"]["last_layer"].shape == (5, 3)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(own))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(theirs))
    assert set(method.trained_weights(state)[0]) == {"encoder", "projector"}


def test_both_last_layers_wait_for_the_first_epoch(method, at_start):
    params, tx = at_start[0].params["online"], method.players[0].tx
    steep = jax.tree.map(jnp.ones_like, params)
    for step, waits in ((3, True), (4, False)):
        updates, _ = jax.jit(tx.update)(steep, tx.init(params), params, step=step)
        for head in ("projector", "patch_projector"):
            assert np.any(updates[head]["last_layer"]) != waits
            assert np.any(updates[head]["linear1"]["kernel"])
