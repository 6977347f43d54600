"""Tiny methods that translate: images of 16 pixels, thin networks, batches of 4."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ssljax import optimizers
from ssljax.augment import ViewPolicy
from ssljax.methods.contract import Method, Task, TrainState, Turn
from ssljax.run.step import init_state, make_step

BATCH, SIDE, STEPS = 4, 16, 8
TASK = Task((SIDE, SIDE, 1), batch_size=BATCH, total_steps=STEPS, steps_per_epoch=4)
KEY = jax.random.key(1)
"""Of every loss that is computed alone."""
# The programs run for microseconds: it does not pay to optimise them.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
jit = functools.partial(jax.jit, compiler_options=QUICK)
run_step = jit(lambda method, state, batch: make_step(method)(state, batch), static_argnums=0)
start = jit(lambda method: init_state(method, jax.random.key(0)), static_argnums=0)
translate = jit(
    lambda method, state, images, way: method.translate(state, images, way), static_argnums=(0, 3)
)


def config(kind: type[Method], **changes: Any) -> ConfigDict:
    """The method's default config with thin networks, a view of whole images, and changes."""
    method = kind.default_config()
    view = ViewPolicy(SIDE, crop_scale=None, flip_p=0.0)
    method.view = ConfigDict(dataclasses.asdict(view))
    method.update(changes)
    model = {role: dict(networks.options) for role, networks in kind.roles.items()}
    for network in model.values():
        network["width"] = 0.04
    if "blocks" in model["generator"]:
        model["generator"]["blocks"] = 1
    if "layers" in model["discriminator"]:
        model["discriminator"]["layers"] = 1
    settings = optimizers.Settings(
        name="sgd", learning_rate=0.01, schedule="constant", momentum=0.0
    )
    return ConfigDict({"method": method, "model": model, "optimizer": dataclasses.asdict(settings)})


def build(kind: type[Method], **changes: Any) -> Any:
    """The tiny method."""
    return kind(config(kind, **changes), TASK)


def images(seed: int, *leading: int, side: int = SIDE) -> jax.Array:
    """Random bytes."""
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.integers(0, 256, (*leading, side, side, 1), dtype=np.uint8))


def batch(seed: int) -> dict[str, dict[str, jax.Array]]:
    """Random images of both domains, as a step takes them."""
    return {
        "A": {"image": images(2 * seed, BATCH, 1)},
        "B": {"image": images(2 * seed + 1, BATCH, 1)},
    }


def views(method: Method, seed: int = 0) -> Any:
    """The views of one update."""
    return method.views(jax.random.key(0), jax.tree.map(lambda x: x[:, 0], batch(seed)))


@functools.partial(jit, static_argnums=(0, 1))
def loss(method: Method, name: str, state: TrainState, views: Any, carried: Any) -> Any:
    """(loss, aux) of a player, with the key `KEY`."""
    player = {player.name: player for player in method.players}[name]
    return player.loss(state.params[name], Turn(state, views, KEY, carried=carried))


@functools.partial(jit, static_argnums=(0, 1))
def outputs(method: Any, role: str, state: TrainState, images: jax.Array) -> Any:
    """What the network of a role makes of images in training mode."""
    params, variables = method.networks.weights(state, role)
    found, _ = method.networks.by_role[role].apply(
        {"params": params, **variables}, images, True, mutable=list(variables)
    )
    return found


def logits(method: Any, role: str, state: TrainState, images: Any) -> np.ndarray:
    """A discriminator's logits in float64."""
    return np.asarray(outputs(method, role, state, images)["logits"], np.float64)
