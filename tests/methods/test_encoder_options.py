"""Every option of an encoder works in every method that takes encoders."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import models
from ssljax.augment import ViewPolicy
from ssljax.methods import REGISTRY
from ssljax.methods.contract import Method
from ssljax.methods.protocols import PretextSolver
from ssljax.methods.transfer.finetune import Finetune
from ssljax.run.step import init_state, make_step

# Pretext tasks build their encoders in one place, for which rotation stands; where an encoder plays
# beside a generator, its own tests see that it is the one that was asked for.
TAKES_ENCODERS = [
    name
    for name, kind in REGISTRY.items()
    if "encoder" in kind.roles
    and "generator" not in kind.roles
    and (name == "rotation" or not issubclass(kind, PretextSolver))
]
SIDE, BATCH = 16, 16
SIZES = {"prototypes": 8, "out_dim": 8, "bottleneck_dim": 8, "local_crops": 1, "decoder_heads": 2}
SIZES |= {"mask_size": 8, "predictor_dim": 8, "predictor_heads": 2, "predictor_depth": 1}
SIZES["scales"] = (1.0,)  # Patches fill no other.
WEIGHT_DECAY = 0.4  # Where DINO's goes, so that any optimizer may have it.
WAITS = {"freeze_prototypes_epochs": 0.0, "freeze_last_layer_epochs": 0.0, "clustering_epochs": 0.5}
NEEDS_PATCHES = ("dinov2", "ibot", "ijepa", "mae", "simmim")
OPTIONS = {
    "resnet_test": {"width": 2, "stem": "imagenet", "zero_init_residual": True},
    "small": {"widths": (4, 8), "convs_per_stage": 2, "stem_stride": 1},
    "vit_test": {
        "patch_size": 8,
        "heads": 4,
        "positions": "sincos",
        "initializer": "xavier",
        "freeze_patch_embedding": True,
        "class_token": False,
        "registers": 2,
        "layer_scale": 0.1,
        "pool": "mean",
        "drop_path": 0.1,
        "drop_path_uniform": True,
    },
}
"""By encoder, a value of each of its keys in the config that is not the default."""


@pytest.fixture(scope="module", autouse=True)
def encoders():
    with pytest.MonkeyPatch.context() as patch:
        resnet = functools.partial(models.ResNet, (1, 1, 1, 1), models.BasicBlock)
        vit = functools.partial(models.VisionTransformer, dim=16, depth=2, heads=2, patch_size=16)
        patch.setitem(models.ENCODERS, "resnet_test", resnet)
        patch.setitem(models.ENCODERS, "vit_test", vit)
        yield


@pytest.fixture
def build(tiny):
    """Makes the tiny method on an encoder, with some of the keys of `config.model.encoder`."""

    def make(
        name: str, encoder: str, method: Any = (), optimizer: Any = (), **model: Any
    ) -> Method:
        kind = REGISTRY[name]
        own = kind.default_config()
        sizes = {key: value for key, value in (SIZES | WAITS).items() if key in own}
        config = tiny.config(kind, **sizes | dict(method))
        for key in config.method:
            if "view" in key:
                config.method[key] = ConfigDict(dataclasses.asdict(ViewPolicy(SIDE, None)))
        config.model = ConfigDict(
            {
                role: dict(network.options)
                for role, network in kind.roles.items()
                if role in ("encoder", "head", "pyramid")
            }
        )
        config.model.encoder.update(name=encoder, **model)
        config.optimizer.update(**{"name": "adamw", "weight_decay": WEIGHT_DECAY} | dict(optimizer))
        task = dataclasses.replace(tiny.task, image_shape=(SIDE, SIDE, 1), num_images=64)
        if name == "multi_label":
            task = dataclasses.replace(task, label_names=("a", "b", "c"))
        if name == "distill":
            teacher = tiny.config(Finetune)
            task = dataclasses.replace(task, source=Finetune(teacher, task))
        return kind(config, task)

    return make


def batch(number: int) -> dict[str, jax.Array]:
    rng = np.random.default_rng(number)
    images = rng.integers(0, 256, (BATCH, 1, SIDE, SIDE, 1), dtype=np.uint8)
    return {
        "images": {
            "image": jnp.asarray(images),
            "label": jnp.asarray(rng.integers(0, 3, (BATCH, 1), dtype=np.int32)),
            "index": jnp.asarray(rng.permutation(64)[:BATCH, None].astype(np.int32)),
            "mask": jnp.asarray(rng.integers(-1, 3, (BATCH, 1, SIDE, SIDE), dtype=np.int32)),
            "boxes": jnp.asarray(rng.uniform(0, 1, (BATCH, 1, 2, 5)).astype(np.float32)),
            "multi_label": jnp.asarray(rng.integers(-1, 2, (BATCH, 1, 3), dtype=np.int32)),
        }
    }


def test_the_table_of_options_is_whole():
    keys = {key for options in OPTIONS.values() for key in options} | {"name", "dtype"}
    assert keys == set(models.ENCODER.options)
    for encoder, options in OPTIONS.items():
        default = ConfigDict(dict(models.ENCODER.options) | {"name": encoder})
        plain = models.encoder_from_config(default)
        assert all(getattr(plain, key) != value for key, value in options.items())


@pytest.mark.parametrize("encoder", OPTIONS)
@pytest.mark.parametrize("name", TAKES_ENCODERS)
def test_every_method_trains_the_encoder_that_was_asked_for(name, encoder, build):
    if name in NEEDS_PATCHES and encoder != "vit_test":
        with pytest.raises(ValueError, match="needs a vision transformer"):
            build(name, encoder)
        return
    method = build(name, encoder, **OPTIONS[encoder])
    network = method.network.encoder
    assert {key: getattr(network, key) for key in OPTIONS[encoder]} == OPTIONS[encoder]
    if encoder != "vit_test":
        return  # That they train is promised elsewhere.
    # Without a key for the paths that are dropped, the step could not even be traced.
    state = jax.eval_shape(functools.partial(init_state, method), jax.random.key(0))
    after, metrics = jax.eval_shape(make_step(method), state, batch(0))
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert metrics["online/loss"].shape == ()


@pytest.mark.parametrize("name", ["byol", "moco", "moco_v3", "dino"])
def test_the_network_that_gives_targets_drops_no_paths(name, build):
    method = build(name, "vit_test", drop_path=0.1)
    target = method.teacher if name == "dino" else method.target_network
    assert (method.network.encoder.drop_path, target.encoder.drop_path) == (0.1, 0.0)
    assert target.encoder.clone(drop_path=0.1) == method.network.encoder


@pytest.mark.parametrize("name", ["simclr", "dino"])
def test_a_frozen_patch_embedding_has_no_weight_decay(name, build):
    rising = {"weight_decay_end": 0.9} if name == "dino" else {}
    method = build(name, "vit_test", rising, freeze_patch_embedding=True)
    (player,) = method.players
    params = {
        "encoder": {part: {"kernel": jnp.ones((2, 2))} for part in ("patch_embedding", "mlp_out")},
        "projector": {"last_layer": jnp.ones((2, 2)), "norm1": {"bias": jnp.ones(2)}},
    }
    state, none = player.tx.init(params), jax.tree.map(jnp.zeros_like, params)
    updates, _ = player.tx.update(none, state, params, step=jnp.zeros((), jnp.int32))
    moved = {part: np.abs(x["kernel"]).max() for part, x in updates["encoder"].items()}
    assert moved["mlp_out"] > 0
    assert moved["patch_embedding"] == 0
