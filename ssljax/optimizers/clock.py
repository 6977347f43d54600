"""The one clock of a run: every schedule of an optimizer is a function of the train step.

Optax counts the updates of each optimizer on its own. A player that skips some train steps, or is
updated several times in each, would use another rate than the other players and the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

PyTree = Any
Schedule = Callable[[Array], Float[Array, ""]]


def scale_by_step(factor: Schedule) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by a function of the train step.

    Args:
      factor: The factor by train step, from 0.

    Returns:
      The transformation, without a state. Its `update`, and that of every chain that holds it, is
      given the number of finished train steps as `step=`.
    """

    def update(
        updates: PyTree,
        state: optax.EmptyState,
        params: PyTree | None = None,
        *,
        step: int | Int[Array, ""],
        **_: Any,
    ) -> tuple[PyTree, optax.EmptyState]:
        now = factor(jnp.asarray(step))
        return jax.tree.map(lambda x: jnp.asarray(now, x.dtype) * x, updates), state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)
