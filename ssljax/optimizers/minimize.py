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


def lbfgs(memory: int) -> optax.GradientTransformation:
    """L-BFGS without a line search, as in the code of neural style.

    Each step has length 1 in the metric that the last gradients give, and costs one gradient. The
    first is no longer than 1. Where what is remembered leads uphill, it is forgotten.

    Args:
      memory: How many earlier steps are remembered; each takes twice the size of the point.

    Reference:
      Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989.
    """
    plain = optax.lbfgs(learning_rate=1.0, memory_size=memory, linesearch=None)

    def update(gradient: PyTree, state: PyTree, point: PyTree = None) -> tuple[PyTree, PyTree]:
        updates, known = plain.update(gradient, state, point)
        found: tuple[PyTree, PyTree] = jax.lax.cond(
            optax.tree.vdot(updates, gradient) < 0,
            lambda: (updates, known),
            lambda: plain.update(gradient, plain.init(point), point),
        )
        return found

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
