"""Update rules and learning-rate schedules, built from a config."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from ssljax.ops.schedules import half_cosine
from ssljax.optimizers.clock import scale_by_step
from ssljax.optimizers.masks import name_mask
from ssljax.optimizers.settings import Settings, read


class Optimizer(NamedTuple):
    """An optimizer and its schedule, as `build` returns them.

    Attributes:
      tx: The gradient transformation; see `scale_by_step`.
      schedule: Learning rate by train step, for the log: the one that `tx` applies.
    """

    tx: optax.GradientTransformationExtraArgs
    schedule: optax.Schedule


def build(
    config: Mapping[str, Any],
    *,
    total_steps: int,
    steps_per_epoch: float,
    batch_size: int,
    warmup_ends_at_peak: bool = False,
) -> Optimizer:
    """Makes an optimizer and its learning-rate schedule.

    SimCLR uses `{"name": "lars", "learning_rate": 0.3, "scaling": "linear", "warmup_epochs": 10,
    "weight_decay": 1e-6}`, or 0.075 with `"scaling": "sqrt"`.

    Args:
      config: Keys and values of `Settings`; `name` and `learning_rate` are required.
      total_steps: Train steps of the run.
      steps_per_epoch: Train steps of one pass over the data.
      batch_size: Images of one batch, over all devices. An update sees `accumulate` of them.
      warmup_ends_at_peak: Whether the last step of the warm-up already uses the highest rate, so
        that two steps do; otherwise only the first step after it does.

    Returns:
      The transformation and the schedule. `update` of the transformation is given the train step
      as `step=`. It raises ValueError if a pattern in `exclude` matches no parameter: a filter
      that silently did nothing would train another model than the one asked for.

    Raises:
      UserError: If a key is unknown or missing, or a value is out of range.

    Reference:
      You et al., LARS (arXiv:1708.03888), 2017, and LAMB (arXiv:1904.00962), 2019; exclusion and
      classic momentum as in `lars_optimizer.py` of google-research/simclr.
    """
    settings = read(config)
    images = batch_size * settings.accumulate
    schedule = _schedule(settings, total_steps, steps_per_epoch, images, warmup_ends_at_peak)
    tx = _rule(settings, schedule)
    if settings.clip_norm:
        tx = optax.chain(optax.clip_by_global_norm(settings.clip_norm), tx)
    return Optimizer(under_standard_promotion(tx), schedule)


def _rule(settings: Settings, rate: optax.Schedule) -> optax.GradientTransformation:
    mask = name_mask(settings.exclude) if settings.exclude else True
    decay = (
        optax.add_decayed_weights(settings.weight_decay, mask)
        if settings.weight_decay
        else optax.identity()
    )
    scale = scale_by_step(lambda step: -rate(step))
    adam = optax.scale_by_adam(settings.b1, settings.b2, settings.eps)
    momentum = (
        optax.trace(settings.momentum, settings.nesterov) if settings.momentum else optax.identity()
    )
    if settings.name == "sgd":
        return optax.chain(decay, momentum, scale)
    if settings.name == "adam":
        return optax.chain(decay, adam, scale)
    if settings.name == "adamw":
        return optax.chain(adam, decay, scale)
    if settings.name == "lamb":
        return optax.chain(adam, decay, optax.masked(optax.scale_by_trust_ratio(), mask), scale)
    if settings.name == "rmsprop":
        squares = optax.scale_by_rms(settings.decay, settings.eps, eps_in_sqrt=False)
        return optax.chain(squares, scale)
    trust = optax.masked(
        optax.scale_by_trust_ratio(trust_coefficient=settings.trust_coefficient), mask
    )
    if settings.classic_momentum:
        return optax.chain(decay, trust, scale, momentum)
    return optax.chain(decay, trust, momentum, scale)


def under_standard_promotion(
    tx: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Lets programs that forbid implicit type promotion use optax, whose Adam relies on it."""
    tx = optax.with_extra_args_support(tx)

    def init(params: optax.Params) -> optax.OptState:
        with jax.numpy_dtype_promotion("standard"):
            return tx.init(params)

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        with jax.numpy_dtype_promotion("standard"):
            return tx.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(init, update)


def _schedule(
    settings: Settings,
    total_steps: int,
    steps_per_epoch: float,
    batch_size: int,
    warmup_ends_at_peak: bool,
) -> optax.Schedule:
    """Learning rate by train step."""
    factor = {"linear": batch_size / 256, "sqrt": math.sqrt(batch_size), "none": 1.0}
    peak = settings.learning_rate * factor[settings.scaling]
    warmup = min(settings.warmup(steps_per_epoch), total_steps)
    climb = warmup - 1 if warmup_ends_at_peak else warmup
    boundaries = [epoch * steps_per_epoch for epoch in settings.step_epochs]
    boundaries += [fraction * total_steps for fraction in settings.step_fractions]
    boundaries.sort()

    def after_warmup(step: jax.Array) -> jax.Array:
        done = (step - warmup) / max(total_steps - warmup, 1)
        progress = jnp.clip((done - settings.hold) / (1.0 - settings.hold), 0.0, 1.0)
        if settings.schedule == "cosine":
            return half_cosine(peak, settings.end_value, progress)
        if settings.schedule == "linear":
            return settings.end_value + (peak - settings.end_value) * (1 - progress)
        if settings.schedule == "poly":
            stair = jnp.floor((step - warmup) / settings.poly_every) * settings.poly_every
            left = 1.0 - jnp.clip(stair / max(total_steps - warmup, 1), 0.0, 1.0)
            return peak * left**settings.power
        if settings.schedule == "constant":
            return jnp.full_like(step, peak)
        if settings.schedule == "exponential":
            return peak * settings.end_factor**progress
        passed = jnp.searchsorted(jnp.asarray(boundaries, jnp.float32), step, side="right")
        return peak * settings.step_factor ** passed.astype(jnp.float32)

    def schedule(step: chex.Numeric) -> jax.Array:
        now = jnp.asarray(step, jnp.float32)
        return jnp.where(now < warmup, peak * now / max(climb, 1), after_warmup(now))

    return schedule
