"""Tiny runs of any method, for the tests of the methods."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import optimizers
from ssljax.augment import ViewPolicy
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Method, Task, TrainState, Turn
from ssljax.run.step import init_state, make_step

VIEW = dataclasses.asdict(ViewPolicy(8, crop_scale=None))
KEYS = {
    "projector_dim": 16,
    "projector_hidden_dim": 16,
    "predictor_hidden_dim": 16,
    "queue_size": 32,
    "bn_groups": 4,
    "momentum": 0.5,  # At the published 0.99 a mistake in the order would hide in rounding.
}
# The programs run for microseconds: it does not pay to optimise them.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
_quick = functools.partial(jax.jit, compiler_options=QUICK)
_forward = _quick(passes.forward, static_argnums=0)
_forward_together = _quick(passes.forward_together, static_argnums=0)
_loss = _quick(
    lambda method, state, views: method.loss(
        state.params["online"], Turn(state, views, jax.random.key(1))
    ),
    static_argnums=0,
)


class Tiny:
    """Networks of two narrow stages, 8-pixel views that only flip, batches of 16."""

    task = Task(
        image_shape=(8, 8, 1), batch_size=16, total_steps=8, steps_per_epoch=4, num_classes=3
    )

    def config(self, kind: type[Method], **changes: Any) -> ConfigDict:
        """The method's default config, made tiny, with some of its own keys changed."""
        method = kind.default_config()
        method.update({key: ConfigDict(VIEW) for key in method if key.startswith("view")})
        method.update({key: value for key, value in KEYS.items() if key in method} | changes)
        settings = optimizers.Settings(name="sgd", learning_rate=0.01)
        return ConfigDict(
            {
                "data": {"resize": "short_side", "mask_classes": 3, "void": 255, "box_classes": 2},
                "method": method,
                "model": {"encoder": {"name": "small", "widths": (8, 16), "dtype": "float32"}},
                "optimizer": dataclasses.asdict(settings),
            }
        )

    def build(self, kind: type[Method], **changes: Any) -> Method:
        """The tiny method."""
        return kind(self.config(kind, **changes), self.task)

    def init(self, method: Method) -> TrainState:
        """The untrained state."""
        return self.jit(lambda: init_state(method, jax.random.key(0)))()

    def batch(self, seed: int) -> dict[str, dict[str, jax.Array]]:
        """One update's random images and labels, as a step takes them."""
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (16, 1, 8, 8, 1), dtype=np.uint8)
        labels = rng.integers(0, 3, (16, 1), dtype=np.int32)
        return {"images": {"image": jnp.asarray(images), "label": jnp.asarray(labels)}}

    def views(self, seed: int = 0) -> tuple[jax.Array, jax.Array]:
        """Two random views, as a method's loss takes them."""
        rng = np.random.default_rng(seed)
        one, two = rng.uniform(size=(2, 16, 8, 8, 1)).astype(np.float32)
        return jnp.asarray(one), jnp.asarray(two)

    def loss(self, method: Method, state: TrainState, views: Any) -> tuple[float, Aux]:
        """Value and by-products of the online player's loss."""
        value, aux = _loss(method, state, views)
        return float(value), aux

    def after(self, method: Method, state: TrainState, aux: Aux) -> TrainState:
        """The state after `after_step`, with what the loss changed in the memory and carried."""
        return method.after_step(state.replace(memory=state.memory | aux.memory), aux.carry)

    def outputs(self, network: Any, params: Any, variables: Any, images: jax.Array) -> Any:
        """One view's pass in training mode: (outputs, collections)."""
        return _forward(network, params, variables, images)

    def joint_outputs(self, network: Any, params: Any, variables: Any, views: Any) -> Any:
        """The joint pass of two views in training mode: outputs of each."""
        return _forward_together(network, params, variables, views)[0]

    @staticmethod
    def jit(function: Callable[..., Any]) -> Callable[..., Any]:
        """`jax.jit`, without the compiler's slow passes."""
        return _quick(function)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return Tiny()


@pytest.fixture(scope="session")
def first_steps(tiny):
    """The tiny method, its states before and after each of 3 steps, and the steps' metrics.

    They are made once for each method.
    """
    made: dict[type[Method], Any] = {}

    def steps(kind: type[Method]) -> tuple[Method, list[TrainState], list[Any]]:
        if kind not in made:
            method = tiny.build(kind)
            step = tiny.jit(make_step(method))
            states, metrics = [tiny.init(method)], []
            for number in range(3):
                after, scalars = step(states[-1], tiny.batch(number))
                states.append(after)
                metrics.append(scalars)
            made[kind] = method, states, metrics
        return made[kind]

    return steps


@pytest.fixture(scope="session")
def close():
    """Asserts that two trees of arrays have one structure and nearly equal leaves."""

    def check(actual: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
        assert jax.tree.structure(actual) == jax.tree.structure(expected)
        for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)

    return check


@pytest.fixture(scope="session")
def unit():
    """Rows scaled to length 1, in float64."""

    def scale(rows: Any) -> np.ndarray:
        rows = np.asarray(rows, np.float64)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return scale
