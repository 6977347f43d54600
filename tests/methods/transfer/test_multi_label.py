"""Several classes an image, and an encoder that stays as it is."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.methods.joint_embedding.simclr import SimCLR
from ssljax.methods.transfer.distill import Distill
from ssljax.methods.transfer.finetune import Finetune
from ssljax.methods.transfer.multi_label import MultiLabel
from ssljax.run.step import make_step

NAMES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def task(tiny):
    return dataclasses.replace(tiny.task, num_classes=None, label_names=NAMES)


def batch(tiny):
    labels = np.random.default_rng(1).integers(-1, 2, (16, 1, 3), dtype=np.int32)
    return {"images": {"image": tiny.batch(0)["images"]["image"], "multi_label": labels}}


def test_the_loss_is_that_of_the_known_classes(tiny, task):
    method = MultiLabel(tiny.config(MultiLabel), task)
    start = tiny.init(method)
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(16, 3)), jnp.float32)
    params = start.params["online"] | {"classifier": {"kernel": kernel, "bias": jnp.arange(3.0)}}
    start = start.replace(params={"online": params})
    one = {"images": {name: x[:, 0] for name, x in batch(tiny)["images"].items()}}
    views = method.views(jax.random.key(0), one)
    value, aux = tiny.loss(method, start, views)
    outputs, _ = tiny.outputs(method.network, params, start.variables["online"], views["image"])
    logits, labels = np.asarray(outputs["logits"], np.float64), one["images"]["multi_label"]
    chances = np.where(labels == 1, 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits)))
    terms = np.where(labels >= 0, -np.log(chances), 0)
    assert value == pytest.approx(terms.sum() / (labels >= 0).any(axis=1).sum(), rel=1e-5)
    known = labels >= 0
    right = ((logits > 0) == (labels == 1))[known].mean()
    assert float(aux.metrics["accuracy"]) == pytest.approx(right, rel=1e-6)
    assert float(aux.metrics["labelled"]) == pytest.approx(known.mean(), rel=1e-6)


def test_its_scores_are_not_those_of_classes_that_exclude_each_other(tiny, task):
    method = MultiLabel(tiny.config(MultiLabel), task)
    found = method.features(tiny.init(method), tiny.batch(0)["images"]["image"][:, 0])
    assert found["label_logits"].shape == (16, 3)
    assert "logits" not in found
    assert method.class_names == ()
    taught = dataclasses.replace(tiny.task, source=method)
    with pytest.raises(ValueError, match="A student needs a teacher"):
        Distill(tiny.config(Distill), taught)


def test_without_several_classes_there_is_nothing_to_learn(tiny):
    with pytest.raises(ValueError, match=r"name that feature in data\.multi_label_key"):
        MultiLabel(tiny.config(MultiLabel), tiny.task)


@pytest.mark.parametrize("kind", [Finetune, MultiLabel])
def test_a_frozen_encoder_stays_as_it_is_and_is_used_as_it_is_evaluated(tiny, task, kind):
    config = tiny.config(kind, train_encoder=False, from_layer=1)
    # Decay, of norms as well, would move what gets no gradient.
    config.optimizer.update(weight_decay=0.1, exclude=())
    method = kind(config, task if kind is MultiLabel else tiny.task)
    source = tiny.build(SimCLR)
    # Running statistics that are not those of the start.
    trained = tiny.init(source)
    moved = jax.tree.map(lambda x: x + 0.3, trained.variables)
    trained = trained.replace(variables=moved)
    start = method.start_from(tiny.init(method), source, trained)
    fed = batch(tiny) if kind is MultiLabel else tiny.batch(0)
    step = tiny.jit(make_step(method))
    after, _ = step(*step(start, fed)[:1], fed)
    for part in ("params", "variables"):
        old, new = (getattr(state, part)["online"] for state in (start, after))
        old, new = (jax.tree_util.tree_flatten_with_path(tree)[0] for tree in (old, new))
        moved = {"encoder": set(), "rest": set()}
        for (path, a), (_, b) in zip(old, new, strict=True):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            where = "encoder" if "encoder/" in name else "rest"
            moved[where].add(bool(np.any(np.asarray(a) != np.asarray(b))))
        assert moved["encoder"] == {False}, part
        assert True in moved["rest"], part
    images = fed["images"]["image"][:, 0]
    one = {"images": {name: x[:, 0] for name, x in fed["images"].items()}}
    method.view = dataclasses.replace(method.view, flip_p=0.0)
    _, aux = tiny.loss(method, start, method.views(jax.random.key(0), one))
    expected = source.features(trained, images)["features"]
    np.testing.assert_allclose(aux.carry["features"], expected, rtol=1e-5, atol=1e-6)
