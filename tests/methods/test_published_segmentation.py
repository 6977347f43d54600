"""The configs of segmentation have the numbers that the authors publish, and can be trained."""

import jax
import jax.numpy as jnp
import pytest
from published import check, load, numbers, variants

from ssljax.methods.contract import Task
from ssljax.methods.transfer.segment import Segment
from ssljax.run.step import init_state, make_step

DEEPLAB = {
    "steps": 20_000,
    "model.encoder.name": "resnet101",
    "model.encoder.output_stride": 8,
    "model.head.name": "aspp",
    "method.view.size": 321,
    "method.view.flip_p": 0.5,
    "method.sizes": (0.5, 0.75, 1.0, 1.25, 1.5),
    "method.scales": (1.0, 0.75, 0.5),
    "method.loss_at": "places",
    "method.head_rate": 10.0,
    "method.head_bias_rate": 20.0,
    "method.train_norms": False,
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "optimizer.schedule": "poly",
    "optimizer.power": 0.9,
    "optimizer.poly_every": 10,
    "decay": 5e-4,
    "rate": 2.5e-4,
}
PUBLISHED = {
    "segment/voc.py": DEEPLAB
    | {"batch_size": 5, "optimizer.accumulate": 2, "data.mask_classes": 21, "data.void": 255},
    "segment/voc.py:dilated": {
        "batch_size": 14,
        "model.encoder.name": "dilated_vgg",
        "model.head.name": "context",
        "data.mask_classes": 21,
        "method.view.mean": (116.52 / 255, 111.36 / 255, 102.93 / 255),
        "rate": 1e-5,
    },
    "segment/camvid.py": DEEPLAB
    | {"batch_size": 10, "data.mask_classes": 11, "data.void": 11, "data.image_size": 240},
}


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_numbers_are_those_of_the_authors(path, key):
    check(PUBLISHED, path, key)


@pytest.mark.parametrize("path", variants("segment/voc.py"))
def test_the_step_can_be_traced(path):
    config = load(path).copy_and_resolve_references()
    if config.model.encoder.name == "resnet101":
        config.model.encoder.name = "resnet18"  # A fifth of the time, and the same of all else.
    side, batch = config.data.image_size, 2
    method = Segment(config, Task((side, side, 3), batch, 1000, 100.0))
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    fields = {
        "image": jax.ShapeDtypeStruct((batch, 1, side, side, 3), jnp.uint8),
        "mask": jax.ShapeDtypeStruct((batch, 1, side, side), jnp.int32),
    }
    after, metrics = jax.eval_shape(make_step(method), state, {"images": fields})
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert "online/miou" in metrics
