"""Optimizers beyond `build`: parameters frozen at first, clipping one by one, scheduled decay.

SwAV and DINO keep the last layer as it started for the first steps. Its gradients are *dropped*: a
gradient that is set to zero would still let momentum, Adam's averages and weight decay go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from ssljax.ops.schedules import half_cosine
from ssljax.optimizers.build import Optimizer, build, under_standard_promotion
from ssljax.optimizers.clock import Schedule
from ssljax.optimizers.masks import name_mask

PyTree = Any


def build_with_frozen(
    settings: Mapping[str, Any],
    *,
    total_steps: int,
    steps_per_epoch: float,
    batch_size: int,
    frozen: str | None,
    frozen_steps: int,
    clip_each: float = 0.0,
    weight_decay_end: float | None = None,
) -> Optimizer:
    """Makes the optimizer of a config, with parameters that are frozen for the first steps.

    As in the code of the methods that need it, the last step of the warm-up is at the highest rate:
    `np.linspace` from 0 to it, in SwAV's and DeepCluster-v2's `main_*.py` and DINO's `utils.py`.

    Args:
      settings: `config.optimizer`, whole. Its `exclude` is about the other parameters: the
        frozen ones have weight decay and, under LARS, a trust ratio.
      total_steps: Train steps of the run.
      steps_per_epoch: Train steps of one pass over the data.
      batch_size: Images of one batch, over all devices.
      frozen: Regular expression, searched in the path of each parameter; see `name_mask`. None for
        all parameters; `exclude` then applies to them as usual.
      frozen_steps: Train steps in which these parameters and their optimizer's state do not change.
      clip_each: Greatest norm of each parameter's gradient; 0 for no limit.
      weight_decay_end: Weight decay at the end, reached along half a cosine; None to leave it at
        `settings["weight_decay"]`.

    Returns:
      The transformation, and the learning rate by train step.

    Raises:
      UserError: As `build` does.
      ValueError: If weight decay is to change and the optimizer is not AdamW.
    """
    # The global norm is that of all gradients, so it is clipped before they are split into the two
    # groups. A value out of range (below 0) stays, so that `build` refuses it.
    inner = dict(settings) | {"clip_norm": min(settings["clip_norm"], 0.0)}
    decay = None
    if weight_decay_end is not None and weight_decay_end != settings["weight_decay"]:
        if settings["name"] != "adamw":
            raise ValueError(
                f"weight_decay goes from {settings['weight_decay']} to {weight_decay_end}, which "
                f"only adamw can do, and the optimizer is {settings['name']!r}: choose adamw, or "
                "set both to one value."
            )
        decay = cosine_schedule(settings["weight_decay"], weight_decay_end, total_steps)
        inner["weight_decay"] = 0.0

    def part(**changes: Any) -> Optimizer:
        chosen = inner | changes
        made = build(
            chosen,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
            batch_size=batch_size,
            warmup_ends_at_peak=True,
        )
        if decay is None:
            return made
        mask = name_mask(chosen["exclude"])
        decayed = scheduled_weight_decay(lambda step: made.schedule(step) * decay(step), mask)
        return Optimizer(optax.chain(made.tx, decayed), made.schedule)

    whole = part()
    if frozen is None:
        tx = freeze_for(whole.tx, frozen_steps)
    else:
        trained = name_mask([frozen])
        tx = optax.partition(
            {"trained": whole.tx, "frozen": freeze_for(part(exclude=()).tx, frozen_steps)},
            lambda params: jax.tree.map(
                lambda kept: "trained" if kept else "frozen", trained(params)
            ),
        )
    if clip_each:
        tx = optax.chain(clip_each_by_norm(clip_each), tx)
    if settings["clip_norm"]:
        tx = optax.chain(optax.clip_by_global_norm(settings["clip_norm"]), tx)
    return Optimizer(under_standard_promotion(tx), whole.schedule)


def freeze_for(
    tx: optax.GradientTransformation, steps: int
) -> optax.GradientTransformationExtraArgs:
    """Drops the first gradients: parameters and optimizer state stay as they started.

    Args:
      tx: Transformation, whose schedules are by train step.
      steps: Number of train steps whose gradients are dropped.

    Returns:
      The transformation, with the state of `tx`.
    """
    tx = optax.with_extra_args_support(tx)

    def update(
        grads: PyTree,
        state: optax.OptState,
        params: PyTree | None = None,
        *,
        step: int | Int[Array, ""],
        **extra: Any,
    ) -> tuple[PyTree, optax.OptState]:
        updates, moved = tx.update(grads, state, params, step=step, **extra)
        begun = step >= steps
        updates = jax.tree.map(lambda x: jnp.where(begun, x, jnp.zeros_like(x)), updates)
        return updates, jax.tree.map(lambda new, old: jnp.where(begun, new, old), moved, state)

    return optax.GradientTransformationExtraArgs(tx.init, update)


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
) -> optax.GradientTransformationExtraArgs:
    """Subtracts a share of each parameter, whatever its gradient: AdamW's decay by train step.

    Args:
      rate: The share by train step: learning rate times weight decay.
      mask: Marks the parameters that decay.

    Returns:
      The transformation, to be chained after those that compute the step.
    """

    def update(
        updates: PyTree,
        state: optax.EmptyState,
        params: PyTree | None = None,
        *,
        step: int | Int[Array, ""],
        **_: Any,
    ) -> tuple[PyTree, optax.EmptyState]:
        share = rate(jnp.asarray(step))
        updates = jax.tree.map(
            lambda u, p, decays: u - share * p if decays else u, updates, params, mask(params)
        )
        return updates, state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)


def cosine_schedule(start: float, end: float, total_steps: int) -> Schedule:
    """From `start` at step 0 to `end` at step `total_steps` along half a cosine."""

    def schedule(step: Array) -> Float[Array, ""]:
        progress = jnp.minimum(jnp.asarray(step, jnp.float32) / total_steps, 1.0)
        return half_cosine(start, end, progress)

    return schedule
