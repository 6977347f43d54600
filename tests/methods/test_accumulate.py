"""Batches accumulated for one update do what their images do as one batch.

That holds where a loss is a mean over images that do not look at one another: no batch norm, and
negatives from a queue. Elsewhere each batch has its own statistics and its own negatives.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import models
from ssljax.augment import ViewPolicy
from ssljax.methods.joint_embedding.byol import BYOL
from ssljax.methods.joint_embedding.dino import DINO
from ssljax.methods.joint_embedding.moco import MoCo
from ssljax.methods.joint_embedding.moco_v3 import MoCoV3
from ssljax.models.encoders.vit import VisionTransformer
from ssljax.run.step import make_step

PLAIN = ConfigDict(dataclasses.asdict(ViewPolicy(8, crop_scale=None, flip_p=0.0)))
CHANGES = {
    MoCo: {"view": PLAIN, "bn_groups": 1, "queue_size": 64, "projector_layers": 1},
    DINO: {
        **dict.fromkeys(("view1", "view2", "local_view"), PLAIN),
        **{"local_crops": 0, "out_dim": 12, "bottleneck_dim": 8, "projector_layers": 1},
        **{"freeze_last_layer_epochs": 0.0, "weight_decay_end": 0.0, "center_momentum": 0.5},
    },
}


@pytest.mark.parametrize("kind", [MoCo, DINO])
def test_two_batches_of_an_update_are_as_one_of_their_images(kind, tiny, close, monkeypatch):
    encoder = functools.partial(VisionTransformer, dim=8, depth=1, heads=2, patch_size=4)
    monkeypatch.setitem(models.ENCODERS, "tiny_vit", encoder)
    config = tiny.config(kind, **CHANGES[kind])
    config.model.encoder.name = "tiny_vit"
    config.optimizer.learning_rate = 0.5
    whole = kind(config, tiny.task)
    config.optimizer.accumulate = 2
    parted = kind(config, dataclasses.replace(tiny.task, batch_size=8))
    one, two = tiny.jit(make_step(whole)), tiny.jit(make_step(parted, accumulate=2))
    joined = apart = tiny.init(whole)
    for number in range(2):
        image = tiny.batch(number)["images"]["image"]
        joined, expected = one(joined, {"images": {"image": image}})
        # Rows of one image of either batch, as they are joined again.
        apart, metrics = two(apart, {"images": {"image": image.reshape(8, 2, *image.shape[2:])}})
        assert float(metrics["online/loss"]) == pytest.approx(
            float(expected["online/loss"]), rel=1e-5, abs=1e-6
        )
        close(apart.params, joined.params, rtol=1e-4, atol=1e-5)
        close(apart.memory, joined.memory, rtol=1e-4, atol=1e-5)
    start = tiny.init(whole)
    for part in ("params", "memory"):
        for name, before in getattr(start, part).items():
            after = getattr(apart, part)[name]
            moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), after, before)
            assert max(jax.tree.leaves(moved), default=1.0) > 1e-3, name


@pytest.mark.parametrize("kind", [BYOL, MoCoV3])
def test_a_target_moves_once_in_an_update_and_sees_all_its_batches(kind, tiny, close, monkeypatch):
    monkeypatch.setattr("ssljax.run.step.has_fast_control_flow", lambda: True)
    config = tiny.config(kind)
    config.optimizer.update(accumulate=2, learning_rate=0.5)
    method = kind(config, dataclasses.replace(tiny.task, batch_size=8))
    step, make_views = tiny.jit(make_step(method, accumulate=2)), tiny.jit(method.views)
    states = [tiny.init(method)]
    images = [tiny.batch(number)["images"]["image"].reshape(8, 2, 8, 8, 1) for number in (0, 1)]
    for image in images:
        states.append(step(states[-1], {"images": {"image": image}})[0])
    start, first, second = states

    # BYOL's target follows at the end of a step; MoCo v3's at the start of the next.
    online = {name: first.params["online"][name] for name in start.memory["target"]}
    momentum = 0.5 if kind is BYOL else 1 - 0.5 * (1 + np.cos(np.pi / 8)) / 2
    moved = jax.tree.map(
        lambda was, now: was + (1 - momentum) * (now - was), start.memory["target"], online
    )
    close((first if kind is BYOL else second).memory["target"], moved)
    if kind is MoCoV3:
        close(first.memory["target"], start.memory["target"])
    apart = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), moved, start.memory["target"])
    assert max(jax.tree.leaves(apart)) > 1e-2

    # Both networks pass either view of the first batch, and then of the second.
    key, _ = jax.random.split(jax.random.fold_in(start.key, start.step))
    own, targets = start.variables["online"], start.memory["target_variables"]
    for i in (0, 1):
        for view in make_views(jax.random.fold_in(key, i), {"images": {"image": images[0][:, i]}}):
            _, own = tiny.outputs(method.network, start.params["online"], own, view)
            _, targets = tiny.outputs(method.target_network, start.memory["target"], targets, view)
    close(first.variables["online"], own, rtol=1e-4)
    close(first.memory["target_variables"], targets, rtol=1e-4)


@pytest.mark.parametrize(("accumulate", "told"), [
    (1, "queue_size=40 is not a multiple of the batch of 16 images"),
    (3, "queue_size=40 is not a multiple of the 3 batches of an update, each of 16 images"),
])  # fmt: skip
def test_an_update_that_does_not_fit_the_queue_is_told(accumulate, told, tiny):
    config = tiny.config(MoCo, queue_size=40)
    config.optimizer.accumulate = accumulate
    with pytest.raises(ValueError, match=told):
        MoCo(config, tiny.task)


def test_no_images_travel_between_devices_in_an_accumulated_update(tiny):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    config = tiny.config(MoCo, queue_size=64)
    config.optimizer.accumulate = 2
    method = MoCo(config, tiny.task)
    image = jnp.zeros((16, 2, 8, 8, 1), jnp.uint8)
    step = tiny.jit(make_step(method, accumulate=2))
    text = (
        step.lower(tiny.init(method), {"images": {"image": jax.device_put(image, split)}})
        .compile()
        .as_text()
    )
    assert "all-reduce" in text
    assert not [name for name in ("all-to-all", "collective-permute(") if name in text]
