"""Minimisation of one function on the device, many steps in one call, and L-BFGS for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

PyTree = Any
Loss = Callable[[PyTree, PyTree], tuple[Array, dict[str, Array]]]
"""`loss(point, constants) -> (scalar, parts of it to be told)`."""


_FLAT = 1e-10
"""Curvature below which a step is taken for flat, in units of the loss by the point's squared."""


def lbfgs(memory: int) -> optax.GradientTransformation:
    """L-BFGS without a line search, as in the code of neural style.

    Each step has length 1 in the metric that the last gradients give, and costs one gradient. The
    first is no longer than 1. A step along which the gradient did not grow says nothing of that
    metric: the last one that did is remembered in its place, so that all steps lead downhill.

    Args:
      memory: How many earlier steps are remembered; each takes twice the size of the point.

    Reference:
      Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989;
      `lbfgs.lua` of torch/optim, which leaves such steps out.
    """
    plain = optax.lbfgs(learning_rate=1.0, memory_size=memory, linesearch=None)

    def update(gradient: PyTree, state: PyTree, point: PyTree = None) -> tuple[PyTree, PyTree]:
        known, *others = state
        moved = optax.tree.sub(point, known.params)
        turned = optax.tree.sub(gradient, known.updates)
        is_convex = optax.tree.vdot(moved, turned) > _FLAT * optax.tree.vdot(moved, moved)
        last = (known.count - 2) % memory
        pair = known.diff_params_memory, known.diff_updates_memory
        before = jax.tree.map(lambda now, rows: now - rows[last], (point, gradient), pair)
        params, updates = jax.tree.map(
            lambda new, old: jnp.where(is_convex, new, old), (known.params, known.updates), before
        )
        # The first step may have none before it: then the next is as the first.
        starts = jnp.logical_and(~is_convex, known.count == 1)
        count = jnp.where(starts, 0, known.count)
        known = known._replace(count=count, params=params, updates=updates)
        return plain.update(gradient, (known, *others), point)

    return optax.GradientTransformation(plain.init, update)


class Search(NamedTuple):
    """Where a minimisation is.

    Attributes:
      point: What is varied.
      optimizer: What the optimizer remembers of earlier steps.
      steps: How many were taken.
    """

    point: PyTree
    optimizer: PyTree
    steps: Int[Array, ""]


class Minimizer:
    """Minimises a function.

    Args:
      loss: The function. What is constant is an argument of it, so that it is not compiled in.
      tx: The optimizer.
      in_loop: Whether the steps of a call are rounds of a loop on the device. Where convolutions
        are slow in loops, on a CPU, each is a call of its own.
    """

    def __init__(self, loss: Loss, tx: optax.GradientTransformation, in_loop: bool) -> None:
        self._loss, self._tx, self._in_loop = loss, tx, in_loop
        self._step = jax.jit(self._advance)
        self._block = jax.jit(self._scan, static_argnames="count")

    def start(self, point: PyTree) -> Search:
        """Begins at a point."""
        return Search(point, self._tx.init(point), jnp.zeros((), jnp.int32))

    def run(
        self, search: Search, constants: PyTree, count: int
    ) -> tuple[Search, dict[str, Float[Array, "count"]]]:
        """Takes some steps.

        Args:
          search: Where the minimisation is.
          constants: The second argument of the loss.
          count: How many.

        Returns:
          Where it is then, and what was told of the loss at the points that the steps began at.
        """
        if self._in_loop:
            found: tuple[Search, dict[str, Array]] = self._block(search, constants, count=count)
            return found
        told = []
        for _ in range(count):
            search, parts = self._step(search, constants)
            told.append(parts)
        return search, {name: jnp.stack([parts[name] for parts in told]) for name in told[0]}

    def _scan(
        self, search: Search, constants: PyTree, count: int
    ) -> tuple[Search, dict[str, Array]]:
        return jax.lax.scan(
            lambda now, _: self._advance(now, constants), search, None, length=count
        )

    def _advance(self, search: Search, constants: PyTree) -> tuple[Search, dict[str, Array]]:
        gradient, parts = jax.grad(self._loss, has_aux=True)(search.point, constants)
        updates, optimizer = self._tx.update(gradient, search.optimizer, search.point)
        point = optax.apply_updates(search.point, updates)
        return Search(point, optimizer, search.steps + 1), parts
