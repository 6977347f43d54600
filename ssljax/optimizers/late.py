"""Optimizers beyond `build`: parameters that begin late, clipping one by one, scheduled decay.

SwAV and DINO keep the last layer as it started for the first steps. Its gradients are *dropped*: a
gradient that is set to zero would still let momentum, Adam's averages and weight decay go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from ssljax.optimizers.build import Optimizer, build, under_standard_promotion
from ssljax.optimizers.masks import name_mask

PyTree = Any
Schedule = Callable[[Array], Float[Array, ""]]


def build_late(
    settings: Mapping[str, Any],
    *,
    total_steps: int,
    steps_per_epoch: float,
    batch_size: int,
    late: str | None,
    late_steps: int,
    clip_each: float = 0.0,
    weight_decay_end: float | None = None,
) -> Optimizer:
    """Makes the optimizer of a config, with parameters that begin to move late.

    Args:
      settings: `config.optimizer`, whole. Its `exclude` is about the other parameters: the late
        ones have weight decay and, under LARS, a trust ratio.
      total_steps: Train steps of the run.
      steps_per_epoch: Train steps of one pass over the data.
      batch_size: Images of one train step, over all devices.
      late: Regular expression, searched in the path of each parameter; see `name_mask`. None for
        all parameters, to which `exclude` then applies as ever.
      late_steps: Train steps in which these parameters and their optimizer's state do not change.
      clip_each: Greatest norm of each parameter's gradient; 0 for no limit.
      weight_decay_end: Weight decay at the end, to which it goes along half a cosine; None to leave
        it at `settings["weight_decay"]`.

    Returns:
      The transformation, and the learning rate by train step.

    Raises:
      UserError: as `build` does.
      ValueError: if weight decay is to change and the optimizer is not AdamW.
    """
    every = max(settings["accumulate"], 1)
    total = max(1, total_steps // every)
    # The parts count updates. What concerns all gradients at once is done before they part; what is
    # out of range goes on to where it is told.
    inner = dict(settings) | {
        "accumulate": min(settings["accumulate"], 1),
        "clip_norm": min(settings["clip_norm"], 0.0),
        "warmup_steps": round(settings["warmup_steps"] / every),
    }
    decay = None
    if weight_decay_end is not None and weight_decay_end != settings["weight_decay"]:
        if settings["name"] != "adamw":
            raise ValueError(
                f"weight_decay goes from {settings['weight_decay']} to {weight_decay_end}, which "
                f"only adamw can do, and the optimizer is {settings['name']!r}: choose adamw, or "
                "set both to one value."
            )
        decay = cosine_schedule(settings["weight_decay"], weight_decay_end, total)
        inner["weight_decay"] = 0.0

    def part(**changes: Any) -> Optimizer:
        chosen = inner | changes
        made = build(
            chosen,
            total_steps=total,
            steps_per_epoch=steps_per_epoch / every,
            batch_size=batch_size * every,
        )
        if decay is None:
            return made
        mask = name_mask(chosen["exclude"])
        decayed = scheduled_weight_decay(lambda step: made.schedule(step) * decay(step), mask)
        return Optimizer(optax.chain(made.tx, decayed), made.schedule)

    now, waits = part(), -(-late_steps // every)
    if late is None:
        tx = begin_late(now.tx, waits)
    else:
        begins = name_mask([late])
        tx = optax.partition(
            {"now": now.tx, "late": begin_late(part(exclude=()).tx, waits)},
            lambda params: jax.tree.map(lambda kept: "now" if kept else "late", begins(params)),
        )
    if clip_each:
        tx = optax.chain(clip_each_by_norm(clip_each), tx)
    if settings["clip_norm"]:
        tx = optax.chain(optax.clip_by_global_norm(settings["clip_norm"]), tx)
    if every > 1:
        tx = optax.MultiSteps(tx, every).gradient_transformation()
    return Optimizer(under_standard_promotion(tx), lambda step: now.schedule(step // every))


class LateState(NamedTuple):
    """State of `begin_late`.

    Attributes:
      step: Number of updates so far.
      inner: State of the transformation, untouched while it waits but for its schedule's clock.
    """

    step: Int[Array, ""]
    inner: optax.OptState


def begin_late(tx: optax.GradientTransformation, steps: int) -> optax.GradientTransformation:
    """Drops the first gradients: parameters and optimizer state stay, the schedule's clock runs.

    Args:
      tx: Transformation with a learning-rate schedule, by `optax.scale_by_schedule`.
      steps: Updates that are dropped.

    Returns:
      The transformation.
    """

    def init(params: PyTree) -> LateState:
        return LateState(jnp.zeros((), jnp.int32), tx.init(params))

    def update(
        grads: PyTree, state: LateState, params: PyTree | None = None
    ) -> tuple[PyTree, LateState]:
        updates, inner = tx.update(grads, state.inner, params)
        moves = state.step >= steps

        def choose(new: Any, old: Any) -> Any:
            return new if _is_clock(new) else jnp.where(moves, new, old)

        inner = jax.tree.map(choose, inner, state.inner, is_leaf=_is_clock)
        updates = jax.tree.map(lambda x: jnp.where(moves, x, jnp.zeros_like(x)), updates)
        return updates, LateState(state.step + 1, inner)

    return optax.GradientTransformation(init, update)


def _is_clock(state: Any) -> bool:
    return isinstance(state, optax.ScaleByScheduleState)


def clip_each_by_norm(max_norm: float) -> optax.GradientTransformation:
    """Scales the gradient of each parameter on its own down to a norm.

    Args:
      max_norm: Greatest norm, above 0.

    Returns:
      The transformation.

    Reference:
      Caron et al., DINO, 2021: `clip_gradients` in `utils.py` of facebookresearch/dino.
    """

    def clip(grads: PyTree, params: PyTree | None) -> PyTree:
        return jax.tree.map(
            lambda g: g * jnp.minimum(1.0, max_norm / (jnp.linalg.norm(g.reshape(-1)) + 1e-6)),
            grads,
        )

    return optax.stateless(clip)


def scheduled_weight_decay(
    rate: Schedule, mask: Callable[[PyTree], PyTree]
) -> optax.GradientTransformation:
    """Takes a share of each parameter away, whatever its gradient: AdamW's decay, by the step.

    Args:
      rate: The share by update: learning rate times weight decay.
      mask: Marks the parameters that decay.

    Returns:
      The transformation, to follow those that make the step.
    """

    def init(params: PyTree) -> optax.ScaleByScheduleState:
        return optax.ScaleByScheduleState(jnp.zeros((), jnp.int32))

    def update(
        updates: PyTree, state: optax.ScaleByScheduleState, params: PyTree | None = None
    ) -> tuple[PyTree, optax.ScaleByScheduleState]:
        share = rate(state.count)
        updates = jax.tree.map(
            lambda u, p, decays: u - share * p if decays else u, updates, params, mask(params)
        )
        return updates, optax.ScaleByScheduleState(state.count + 1)

    return optax.GradientTransformation(init, update)


def cosine_schedule(start: float, end: float, total_steps: int) -> Schedule:
    """From `start` at step 0 to `end` at step `total_steps` along half a cosine."""

    def schedule(step: Array) -> Float[Array, ""]:
        progress = jnp.minimum(jnp.asarray(step, jnp.float32) / total_steps, 1.0)
        return end + (start - end) * (1.0 + jnp.cos(jnp.pi * progress)) / 2.0

    return schedule
