"""Minimisation of one function by L-BFGS on the device, many steps in one call."""

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


class Search(NamedTuple):
    """Where a minimisation is.

    Attributes:
      point: What is varied.
      optimizer: What L-BFGS remembers of earlier steps.
      steps: How many were taken.
    """

    point: PyTree
    optimizer: PyTree
    steps: Int[Array, ""]


class Minimizer:
    """Minimises a function by L-BFGS without a line search, as the authors of neural style do.

    Each step has length 1 in the metric that the last gradients give, and costs one gradient. The
    first is no longer than 1. A step that would be uphill, or that remembers no gradient, is one of
    steepest descent of that kind, and L-BFGS forgets what it knew.

    Args:
      loss: The function. What is constant is an argument of it, so that it is not compiled in.
      memory: How many earlier steps are remembered; each takes twice the size of the point.
      in_loop: Whether the steps of a call are rounds of a loop on the device. Where convolutions
        are slow in loops, on a CPU, each is a call of its own.

    Reference:
      Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989.
    """

    def __init__(self, loss: Loss, memory: int, in_loop: bool) -> None:
        self._loss, self._in_loop = loss, in_loop
        self._tx = optax.lbfgs(learning_rate=1.0, memory_size=memory, linesearch=None)
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
            return self._block(search, constants, count=count)
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
        downhill = optax.tree.vdot(updates, gradient) < 0
        # What was learnt of the curvature is of no use where it leads uphill.
        updates, optimizer = jax.lax.cond(
            downhill,
            lambda: (updates, optimizer),
            lambda: self._tx.update(gradient, self._tx.init(search.point), search.point),
        )
        point = optax.apply_updates(search.point, updates)
        return Search(point, optimizer, search.steps + 1), parts
