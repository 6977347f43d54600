"""Optimizers inside the train step, on gradients that a test chooses."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from ssljax.methods.contract import Aux, Method, Player
from ssljax.optimizers import Optimizer
from ssljax.run.step import init_state, make_step

PyTree = Any


class Given(Method):
    """One player, whose gradient on a batch is what the batch holds."""

    def __init__(self, optimizer: Optimizer, params: PyTree) -> None:
        self.start = params
        self.players = (Player("one", self.loss, optimizer.tx, optimizer.schedule),)

    def init(self, key):
        return {"one": self.start}, {}, ()

    def views(self, key, batch):
        parts = batch["gradients"]
        leaves = [jnp.mean(parts[str(i)], axis=0) for i in range(len(parts))]
        return jax.tree.unflatten(jax.tree.structure(self.start), leaves)

    def loss(self, params, turn):
        products = jax.tree.map(lambda p, g: jnp.sum(p * g), params, turn.views)
        return sum(jax.tree.leaves(products), jnp.float32(0.0)), Aux()


@pytest.fixture
def trained_by() -> Callable[..., Any]:
    """Parameters and metrics after each train step, of which one has the gradients of a list."""

    def train(optimizer: Optimizer, params: PyTree, steps: Sequence[Sequence[PyTree]]) -> Any:
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
        method = Given(optimizer, params)
        step = jax.jit(make_step(method, accumulate=len(steps[0])))
        state, path, metrics = init_state(method, jax.random.key(0)), [], []
        for gradients in steps:
            leaves = zip(*map(jax.tree.leaves, gradients), strict=True)
            # One image a batch.
            parts = {str(i): jnp.stack(x).astype(jnp.float32)[None] for i, x in enumerate(leaves)}
            state, values = step(state, {"gradients": parts})
            path.append(state.params["one"])
            metrics.append(values)
        return path, metrics

    return train
