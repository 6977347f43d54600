"""I-JEPA: its loss in float64, the target encoder, and its schedules."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import augment, models
from ssljax.methods.contract import Turn
from ssljax.methods.joint_embedding.ijepa import IJEPA
from ssljax.run.step import init_state, make_step

SIZES = {"predictor_dim": 8, "predictor_depth": 1, "predictor_heads": 2, "least_context": 1}


@pytest.fixture(scope="module")
def method(tiny):
    with pytest.MonkeyPatch.context() as patch:
        small = functools.partial(models.VisionTransformer, dim=8, depth=1, heads=2, patch_size=2)
        patch.setitem(models.ENCODERS, "vit_test", small)
        config = tiny.config(IJEPA, **SIZES)
        config.model.encoder.update(name="vit_test", class_token=False)
        config.optimizer.update(name="adamw", weight_decay=0.04)
        yield IJEPA(config, tiny.task)


@pytest.fixture(scope="module")
def run(tiny, method):
    """The states before and after each of two steps, and the metrics of each."""
    step = tiny.jit(make_step(method))
    states, metrics = [tiny.jit(lambda: init_state(method, jax.random.key(0)))()], []
    for number in range(2):
        state, values = step(states[-1], tiny.batch(number))
        states.append(state)
        metrics.append(values)
    return states, metrics


def test_defaults_are_the_papers():
    config = IJEPA.default_config()
    assert (config.target_blocks, config.target_scale) == (4, (0.15, 0.2))
    assert (config.target_aspect, config.context_scale) == ((0.75, 1.5), (0.85, 1.0))
    assert (config.predictor_dim, config.predictor_depth) == (384, 12)
    assert (config.momentum, config.weight_decay_end) == (0.996, 0.4)
    view = augment.view_from_config(config.view)
    assert (view.size, view.crop_scale, view.flip_p) == (224, (0.3, 1.0), 0.0)
    assert view.brightness == view.gray_p == view.blur_p == 0.0


def test_loss_is_the_error_of_normalised_targets_in_float64(tiny, method, run):
    """What is predicted of each target, and what the target encoder makes of the whole image."""
    start, views, key = run[0][1], tiny.views()[0], jax.random.key(4)

    @tiny.jit
    def parts(params, target):
        blocks = method.blocks(jax.random.split(key)[0], 16)
        context = method.network.encoder.apply(
            {"params": params["encoder"]},
            views,
            train=False,
            visible=blocks.context,
            present=blocks.context_present,
        )
        said = method.network.predictor.apply(
            {"params": params["predictor"]}, context["tokens"], *blocks, (4, 4), train=False
        )
        whole = method.network.encoder.apply({"params": target["encoder"]}, views, train=False)
        return blocks, said, whole["tokens"]

    def loss(params, target):
        return method.loss(params, Turn(start.replace(memory={"target": target}), views, key))

    params, target = start.params["online"], start.memory["target"]
    blocks, said, tokens = jax.tree.map(np.asarray, parts(params, target))
    tokens = tokens.astype(np.float64).reshape(16, 16, 8)
    tokens -= tokens.mean(axis=-1, keepdims=True)
    tokens /= np.sqrt(np.mean(tokens**2, axis=-1, keepdims=True) + 1e-5)
    errors = []
    for image, block, place in np.argwhere(blocks.targets_present):
        wanted = tokens[image, blocks.targets[image, block, place]]
        d = np.abs(said[image, block, place] - wanted)
        errors.append(np.where(d < 1, d**2 / 2, d - 0.5).mean())
    (value, aux), (own, theirs) = tiny.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
        params, target
    )
    np.testing.assert_allclose(value, np.mean(errors), rtol=1e-4)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(own))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(theirs))
    np.testing.assert_allclose(
        aux.metrics["context"], blocks.context_present.sum(axis=1).mean(), rtol=1e-6
    )


def test_target_encoder_follows_with_a_momentum_that_climbs_evenly(run):
    states, metrics = run
    for k, (before, after) in enumerate(itertools.pairwise(states)):
        m = 0.5 + 0.5 * k / 8
        np.testing.assert_allclose(metrics[k]["online/momentum"], m, rtol=1e-6)
        old, new = before.memory["target"]["encoder"], after.memory["target"]["encoder"]
        online = after.params["online"]["encoder"]
        jax.tree.map(
            lambda a, b, c, m=m: np.testing.assert_allclose(
                c, m * np.asarray(a) + (1 - m) * np.asarray(b), rtol=1e-5, atol=1e-6
            ),
            old,
            online,
            new,
        )


def test_weight_decay_climbs_along_half_a_cosine(method, run):
    """Without a gradient, AdamW's step is its decay alone."""
    params, tx = run[0][0].params["online"], method.players[0].tx
    nothing, state = jax.tree.map(jnp.zeros_like, params), tx.init(params)
    for k, share in ((0, 0.04), (4, 0.22)):
        updates, _ = jax.jit(tx.update)(nothing, state, params, step=k)
        kernel = params["predictor"]["prediction"]["kernel"]
        rate = float(method.players[0].schedule(jnp.int32(k)))
        np.testing.assert_allclose(
            updates["predictor"]["prediction"]["kernel"], -rate * share * kernel, rtol=1e-4
        )


def test_features_are_the_target_encoders_on_the_whole_image(method, run):
    state = run[0][2]
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8))
    found = method.features(state, images)
    assert found["tokens"].shape == (2, 4, 4, 8)
    np.testing.assert_allclose(found["features"], found["tokens"].mean(axis=(1, 2)), atol=1e-5)
    dead = jax.tree.map(jnp.zeros_like, state.params)
    again = method.features(state.replace(params=dead), images)
    np.testing.assert_array_equal(again["features"], found["features"])
