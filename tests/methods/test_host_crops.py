"""Methods make the same views of what the host has cropped as of whole images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from ssljax import data, methods
from ssljax.config import check
from ssljax.config import file as config_file
from ssljax.methods.contract import Task
from ssljax.methods.protocols import Generator, PretextSolver

CONFIGS = sorted((runs.ROOT / "configs").glob("*/imagenet.py"))
STARTS_FROM_A_RUN = ("distill", "finetune")


def test_there_are_configs():
    assert len(CONFIGS) >= 13


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_views_are_the_same_wherever_they_are_cut(path):
    config = config_file.load(str(path))
    check(config)
    if config.data.crop == "device":
        # What cuts its own parts of an image, or draws images of its size, is given the whole.
        assert issubclass(methods.REGISTRY[config.method.name], PretextSolver | Generator)
        return
    if path.parent.name in STARTS_FROM_A_RUN:
        return
    config.model.encoder.name = (
        "vit_mini" if config.model.encoder.name.startswith("vit") else "small"
    )
    if config.model.encoder.name == "vit_mini":
        config.model.encoder.heads = 2
    side, count = config.data.image_size, 2
    task = Task(
        image_shape=(side, side, 3),
        batch_size=config.batch_size,
        total_steps=1000,
        steps_per_epoch=100,
        num_images=100 * config.batch_size,
        num_classes=1000,
    )
    method = methods.build(config, task)
    crops = data.host_crops(method.policies, {"image": data.Image()}, config.method.name)
    cut = data.HostCrops(crops, 0).fields(data.Frame(side, 3))
    index = jax.ShapeDtypeStruct((count,), jnp.int32)
    read = {"index": index, "label": index}
    image = jax.ShapeDtypeStruct((count, side, side, 3), jnp.uint8)
    cropped = {name: jax.ShapeDtypeStruct((count, *shape), np.uint8) for name, shape in cut.items()}
    views = jax.eval_shape(method.views, jax.random.key(0), {"images": {"image": image, **read}})
    from_crops = jax.eval_shape(method.views, jax.random.key(0), {"images": {**read, **cropped}})
    assert from_crops == views
    assert len(crops) >= 1
