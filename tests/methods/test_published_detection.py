"""The configs of detection have the numbers that the authors publish, and can be trained."""

import jax
import jax.numpy as jnp
import pytest
from published import check, load, numbers, variants

from ssljax.methods.contract import Task
from ssljax.methods.transfer.detect import Detect
from ssljax.run.step import init_state, make_step

FCOS = {
    "batch_size": 16,
    "model.encoder.name": "resnet50",
    "model.encoder.stem": "imagenet",
    "model.pyramid.channels": 256,
    "model.pyramid.finest": 8,
    "model.pyramid.levels": 5,
    "model.head.convs": 4,
    "model.head.groups": 32,
    "method.view.flip_p": 0.5,
    "method.sizes": (),
    "method.ranges": (64.0, 128.0, 256.0, 512.0),
    "method.radius": 1.5,
    "method.alpha": 0.25,
    "method.gamma": 2.0,
    "method.train_norms": False,
    "method.bias_rate": 2.0,
    "method.score_threshold": 0.05,
    "method.candidates": 1000,
    "method.nms_threshold": 0.6,
    "method.max_detections": 100,
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.9,
    "optimizer.schedule": "step",
    "optimizer.step_factor": 0.1,
    "optimizer.warmup_steps": 500,
    "optimizer.step_fractions": (60 / 90, 80 / 90),
    "decay": 1e-4,
    "rate": 0.01,
}
SIDE = {"steps": 90_000, "data.image_size": 800, "method.view.size": 800}
PUBLISHED = {
    "detect/voc.py": FCOS | SIDE | {"data.box_classes": 20},
    "detect/voc.py:coco": FCOS | SIDE | {"data.box_classes": 80, "data.max_boxes": 100},
    "detect/bccd.py": FCOS | {"data.box_classes": 3, "method.view.size": 640},
}


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_numbers_are_those_of_the_authors(path, key):
    check(PUBLISHED, path, key)


@pytest.mark.parametrize("path", variants("detect/voc.py")[:1])
def test_the_step_can_be_traced(path):
    config = load(path).copy_and_resolve_references()
    config.model.encoder.name = "resnet18"  # A third of the time, and the same of all else.
    side, batch = config.data.image_size, 2
    method = Detect(config, Task((side, side, 3), batch, 1000, 100.0))
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    fields = {
        "image": jax.ShapeDtypeStruct((batch, 1, side, side, 3), jnp.uint8),
        "boxes": jax.ShapeDtypeStruct((batch, 1, config.data.max_boxes, 5), jnp.float32),
    }
    after, metrics = jax.eval_shape(make_step(method), state, {"images": fields})
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert "online/iou" in metrics
    images = jax.ShapeDtypeStruct((batch, side, side, 3), jnp.uint8)
    assert jax.eval_shape(method.detect, state, images).shape == (batch, 100, 6)
