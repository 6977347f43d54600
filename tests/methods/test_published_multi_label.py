"""The config of Pascal VOC 2007 has the numbers that the benchmark's authors publish."""

import jax
import jax.numpy as jnp
import pytest
from published import check, load, numbers, variants

from ssljax.methods.contract import Task
from ssljax.methods.transfer.multi_label import MultiLabel
from ssljax.run.step import init_state, make_step

VOC = {
    "batch_size": 16,
    "steps": 80_000,
    "data.name": "voc/2007",
    "data.split": "train+validation",
    "data.multi_label_key": "labels_no_difficult",
    "data.doubtful_key": "labels",
    "method.from_layer": 0,
    "method.view.size": 227,
    "model.encoder.name": "alexnet",
    "optimizer.name": "sgd",
    "optimizer.schedule": "step",
    "optimizer.step_fractions": (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875),
    "optimizer.step_factor": 0.5,
    "optimizer.clip_norm": 10.0,
    "decay": 1e-6,
    "rate": 1e-3,
    "evals.multi_label.crops": 10,
    "evals.test_split": "test",
}
PUBLISHED = {
    "multi_label/voc07.py": VOC | {"method.train_encoder": True},
    "multi_label/voc07.py:frozen": VOC | {"method.train_encoder": False},
}


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_numbers_are_those_of_the_authors(path, key):
    check(PUBLISHED, path, key)


@pytest.mark.parametrize("path", variants("multi_label/voc07.py"))
def test_the_step_can_be_traced(path):
    config = load(path)
    names = tuple(map(str, range(20)))
    side, batch = config.data.image_size, 2
    task = Task((side, side, 3), batch, 80_000, 313.0, label_names=names)
    method = MultiLabel(config, task)
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    fields = {
        "image": jax.ShapeDtypeStruct((batch, 1, side, side, 3), jnp.uint8),
        "multi_label": jax.ShapeDtypeStruct((batch, 1, 20), jnp.int32),
    }
    after, metrics = jax.eval_shape(make_step(method), state, {"images": fields})
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert {"online/loss", "online/accuracy", "online/labelled"} <= set(metrics)
