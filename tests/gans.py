"""Tiny runs of adversarial methods, on images of 16 pixels: each network has two layers."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ssljax import optimizers
from ssljax.methods.contract import Method, Task, TrainState, Turn
from ssljax.run.step import init_state, make_step

BATCH, SIDE, CLASSES, RATE = 8, 16, 3, 0.01
TASK = Task(
    (SIDE, SIDE, 1), batch_size=BATCH, total_steps=8, steps_per_epoch=4, num_classes=CLASSES
)
WIDTHS = {"generator": {"width": 0.03}, "discriminator": {"width": 0.03}}
# The programs run for microseconds: it does not pay to optimise them.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
KEY = jax.random.key(1)
"""Of every loss that is computed alone."""
jit = functools.partial(jax.jit, compiler_options=QUICK)
_start = jit(lambda method: init_state(method, jax.random.key(0)), static_argnums=0)
_step = jit(lambda method, now, batch: make_step(method)(now, batch), static_argnums=0)
_sample_fakes = jit(
    lambda method, now, views, key, each: method.sample_fakes(
        now.params["generator"], now.variables["generator"], views, key, each
    )[0],
    static_argnums=(0, 4),
)
_discriminate = jit(
    lambda method, now, images, labels: method.discriminate(
        now.params["discriminator"], now.variables["discriminator"], images, labels
    )[0],
    static_argnums=0,
)

_generate = jit(lambda method, now, latents: method.generate(now, latents), static_argnums=0)
_features = jit(lambda method, now, images: method.features(now, images), static_argnums=0)


@functools.partial(jit, static_argnums=(0, 1))
def _loss(method: Method, name: str, now: TrainState, views: Any) -> Any:
    player = {player.name: player for player in method.players}[name]
    return player.loss(now.params[name], Turn(now, views, KEY))


def config(kind: type[Method], **changes: Any) -> ConfigDict:
    """The method's default config with narrow networks, and some of its keys or roles' changed."""
    method, model = kind.default_config(), ConfigDict()
    method.update(latent_dim=4, generator_batch=1)
    method.update({key: value for key, value in changes.items() if key not in kind.roles})
    for role, networks in kind.roles.items():
        model[role] = dict(networks.options) | WIDTHS[role] | changes.get(role, {})
    settings = optimizers.Settings(
        name="sgd", learning_rate=RATE, schedule="constant", momentum=0.0
    )
    return ConfigDict(
        {
            "method": method,
            "model": model,
            "optimizer": dataclasses.asdict(settings),
        }
    )


def build(kind: type[Method], task: Task = TASK, **changes: Any) -> Method:
    """The tiny method."""
    return kind(config(kind, **changes), task)


def start(method: Method) -> TrainState:
    """The untrained state."""
    return _start(method)


def batch(seed: int, updates: int = 1) -> dict[str, dict[str, jax.Array]]:
    """Random images and labels of one train step, and labelled images beside them."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for feed in ("images", "labelled"):
        images = rng.integers(0, 256, (BATCH, updates, SIDE, SIDE, 1), dtype=np.uint8)
        labels = rng.integers(0, CLASSES, (BATCH, updates), dtype=np.int32)
        drawn[feed] = {"image": jnp.asarray(images), "label": jnp.asarray(labels)}
    return drawn


def views(method: Method, seed: int = 0) -> Any:
    """The views of one update."""
    return method.views(jax.random.key(0), jax.tree.map(lambda x: x[:, 0], batch(seed)))


def loss(method: Method, name: str, state: TrainState, views: Any) -> Any:
    """(loss, aux) of a player, with the key `KEY`."""
    return _loss(method, name, state, views)


def sample_fakes(
    method: Any, state: TrainState, views: Any, key: jax.Array, each: int = 1
) -> jax.Array:
    """Generated images in training mode, as a player that draws with this key sees them."""
    return _sample_fakes(method, state, views, key, each)


def discriminate(
    method: Any, state: TrainState, images: Any, labels: Any = None
) -> dict[str, jax.Array]:
    """The discriminator's outputs in training mode, its spectral vectors as they are."""
    return _discriminate(method, state, images, labels)


def generate(method: Method, state: TrainState, latents: Any) -> jax.Array:
    """`method.generate`, compiled."""
    return _generate(method, state, latents)


def features(method: Method, state: TrainState, images: jax.Array) -> dict[str, jax.Array]:
    """`method.features`, compiled."""
    return _features(method, state, images)


def run(method: Method, steps: int) -> tuple[list[TrainState], list[dict[str, jax.Array]]]:
    """The states before and after each step, and the metrics of each."""
    updates = max(player.updates for player in method.players)
    states, metrics = [start(method)], []
    for number in range(steps):
        after, scalars = _step(method, states[-1], batch(number, updates))
        states.append(after)
        metrics.append(scalars)
    return states, metrics


def softplus(x: Any) -> np.ndarray:
    """log(1 + exp(x)) in float64."""
    return np.logaddexp(0.0, np.asarray(x, np.float64))


def cross_entropy(logits: Any, labels: Any) -> float:
    """Mean cross-entropy in float64."""
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(logits))
    return float(np.mean(np.log(np.sum(np.exp(logits), axis=1)) - logits[rows, np.asarray(labels)]))
