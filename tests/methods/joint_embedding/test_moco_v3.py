"""MoCo v3: the order of one step, its loss, its heads and the frozen patch embedding."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import models
from ssljax.methods.joint_embedding.byol import BYOL
from ssljax.methods.joint_embedding.moco_v3 import MoCoV3
from ssljax.models.encoders.vit import VisionTransformer
from ssljax.run.step import make_step


def info_nce(query, key, temperature):
    logits = query @ key.T / temperature
    return 2 * temperature * np.mean(np.log(np.sum(np.exp(logits), 1)) - np.diagonal(logits))


def average(target, online, momentum):
    def one(name):
        return jax.tree.map(
            lambda t, o: momentum * np.asarray(t, np.float64) + (1 - momentum) * np.asarray(o),
            target[name],
            online[name],
        )

    return {name: one(name) for name in target}


def momentum_at(step):
    return 1 - 0.5 * (np.cos(np.pi * step / 8) + 1) / 2


def test_the_momentum_encoder_moves_before_it_makes_the_keys(tiny, first_steps, close, unit):
    method, states, _ = first_steps(MoCoV3)
    state, (one, two) = states[2], tiny.views()
    moved = method.before_step(state)
    loss, aux = tiny.loss(method, moved, (one, two))
    after = tiny.after(method, moved, aux)

    target = average(state.memory["target"], state.params["online"], momentum_at(2))
    close(after.memory["target"], target)
    assert float(aux.metrics["momentum"]) == pytest.approx(momentum_at(2), abs=1e-6)

    target = jax.tree.map(jnp.float32, target)
    statistics, keys = state.memory["target_variables"], []
    for view in (one, two):
        outputs, statistics = tiny.outputs(method.target_network, target, statistics, view)
        keys.append(unit(outputs["projection"]))
    close(after.memory["target_variables"], statistics, rtol=1e-4)
    queries = []
    for view in (one, two):
        outputs, _ = tiny.outputs(
            method.network, state.params["online"], state.variables["online"], view
        )
        queries.append(unit(outputs["prediction"]))
    expected = info_nce(queries[0], keys[1], 1.0) + info_nce(queries[1], keys[0], 1.0)
    assert loss == pytest.approx(expected, rel=1e-4)


def test_whole_steps_average_the_parameters_from_before_the_update(first_steps, close):
    _, states, _ = first_steps(MoCoV3)
    target = states[0].memory["target"]
    for number, (before, after) in enumerate(itertools.pairwise(states)):
        target = average(target, before.params["online"], momentum_at(number))
        close(after.memory["target"], target)


@pytest.mark.parametrize("last_bn", [False, True])
def test_the_last_norms_learn_nothing_and_the_predictors_is_a_choice(tiny, last_bn):
    method = tiny.build(MoCoV3, predictor_last_bn=last_bn, projector_layers=3)
    params, variables, _ = jax.eval_shape(method.init, jax.random.key(0))
    params, statistics = params["online"], variables["online"]["batch_stats"]
    assert sorted(statistics["projector"]) == ["norm1", "norm2", "norm3"]
    assert "norm2" in params["projector"]
    assert "norm3" not in params["projector"]
    assert ("norm2" in statistics["predictor"]) == last_bn
    assert sorted(params["predictor"]) == ["linear1", "linear2", "norm1"]
    assert sorted(params["predictor"]["linear2"]) == ["kernel"]


def test_the_patch_embedding_keeps_its_initial_value(tiny, monkeypatch):
    encoder = functools.partial(
        VisionTransformer,
        dim=8,
        depth=1,
        heads=2,
        patch_size=4,
        positions="sincos",
        freeze_patch_embedding=True,
    )
    monkeypatch.setitem(models.ENCODERS, "tiny_vit", encoder)
    config = tiny.config(MoCoV3, predictor_last_bn=True)
    config.model.encoder.name = "tiny_vit"
    config.optimizer.update(
        name="adamw", learning_rate=1e-2, weight_decay=0.1, exclude=("patch_embedding",)
    )
    method = MoCoV3(config, tiny.task)
    before = tiny.init(method)
    after, metrics = tiny.jit(make_step(method))(before, tiny.batch(0))
    assert np.isfinite(float(metrics["online/loss"]))
    old, new = before.params["online"], after.params["online"]
    frozen = old["encoder"].pop("patch_embedding"), new["encoder"].pop("patch_embedding")
    jax.tree.map(np.testing.assert_array_equal, *frozen)
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), old, new)
    assert all(jax.tree.leaves(moved))


def test_the_class_token_starts_at_nearly_nothing(tiny, monkeypatch):
    """As in the authors' code: a normal of deviation 1e-6, where the other methods have 0.02."""
    vit = functools.partial(VisionTransformer, dim=256, depth=1, heads=2, patch_size=4)
    monkeypatch.setitem(models.ENCODERS, "vit_test", vit)
    for kind, deviation in ((MoCoV3, 1e-6), (BYOL, 0.02)):
        config = tiny.config(kind)
        config.model.encoder = ConfigDict({"name": "vit_test", "dtype": "float32"})
        encoder = kind(config, tiny.task).network.encoder
        images = jnp.zeros((1, 8, 8, 1))
        params = tiny.jit(lambda net=encoder, x=images: net.init(jax.random.key(0), x, False))()
        token = np.asarray(params["params"]["class_token"], np.float64)
        np.testing.assert_allclose(token.std(), deviation, rtol=0.15)
