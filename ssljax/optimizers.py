"""Optimizers and learning-rate schedules, built from a config."""

import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from ssljax.errors import UserError

NORMS_AND_BIASES = r"(^|/)(bias|scale)$|(?i:norm)[^/]*/[^/]*$"
"""Matches the paths of biases and scales, and of whatever belongs to a module named as a norm."""


class Optimizer(NamedTuple):
    """What ``build`` makes.

    Attributes:
      tx: The gradient transformation.
      schedule: Learning rate by train step, for the log: the one that ``tx`` applies.
    """

    tx: optax.GradientTransformation
    schedule: optax.Schedule


@dataclasses.dataclass(frozen=True)
class Settings:
    """What an optimizer's config may say.

    A key that the chosen optimizer or schedule has no use for is left unread, so that another one
    can be chosen on the command line.

    Attributes:
      name: The update rule: ``sgd``, ``lars``, ``adam``, ``adamw`` or ``lamb``.
      learning_rate: Base learning rate, before ``scaling``.
      scaling: ``linear``: times batch / 256. ``sqrt``: times the root of the batch. The batch is
        what one update sees, ``batch_size * accumulate``. ``none``: as it is.
      schedule: What follows the warm-up: ``cosine`` (down to ``end_value`` at the last step),
        ``constant`` or ``step``.
      warmup_steps: Train steps in which the rate climbs linearly from 0.
      warmup_epochs: The same in epochs; give one of the two.
      end_value: Last learning rate of ``cosine``, not scaled by the batch.
      step_epochs: For ``step``: the epochs at which the rate is multiplied by ``step_factor``.
      step_fractions: The same as fractions of the run; give one of the two.
      step_factor: For ``step``: the factor.
      momentum: For ``sgd`` and ``lars``, in [0, 1).
      nesterov: For ``sgd`` and ``lars``: whether to look ahead.
      classic_momentum: For ``lars``: whether the momentum buffer holds steps, learning rate
        included (SimCLR), or gradients (BYOL, MoCo v3). They part when the rate changes.
      trust_coefficient: For ``lars``: step length as a share of the parameter's norm.
      b1: For ``adam``, ``adamw`` and ``lamb``: decay of the gradients' average.
      b2: For the same: decay of the squares' average.
      eps: For the same: added to the root of the squares' average.
      weight_decay: Added to the gradient (``sgd``, ``lars``) or to the step (``adamw``, ``lamb``).
      exclude: Regular expressions, searched in the path of each parameter, such as
        ``encoder/stage1_block1/norm1/scale``. Parameters that one matches have no weight decay and
        no trust ratio.
      clip_norm: Greatest global norm of the gradient; 0 for no limit.
      accumulate: Train steps whose gradients are averaged for one update.
    """

    name: str
    learning_rate: float
    scaling: str = "none"
    schedule: str = "cosine"
    warmup_steps: int = 0
    warmup_epochs: float = 0.0
    end_value: float = 0.0
    step_epochs: Sequence[float] = ()
    step_fractions: Sequence[float] = ()
    step_factor: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    classic_momentum: bool = True
    trust_coefficient: float = 0.001
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    exclude: Sequence[str] = (NORMS_AND_BIASES,)
    clip_norm: float = 0.0
    accumulate: int = 1


def build(
    config: Mapping[str, Any], *, total_steps: int, steps_per_epoch: float, batch_size: int
) -> Optimizer:
    """Makes an optimizer and its learning-rate schedule.

    SimCLR's own is ``{"name": "lars", "learning_rate": 0.3, "scaling": "linear",
    "warmup_epochs": 10, "weight_decay": 1e-6}``, or 0.075 with ``"scaling": "sqrt"``.

    Args:
      config: Keys and values of ``Settings``; ``name`` and ``learning_rate`` are required.
      total_steps: Train steps of the run.
      steps_per_epoch: Train steps of one pass over the data.
      batch_size: Images of one train step, over all devices.

    Returns:
      The transformation and the schedule. The transformation raises ValueError when it meets
      parameters of which a pattern in ``exclude`` matches none: a filter that silently does nothing
      trains another model than was asked for.

    Raises:
      UserError: If a key is unknown or missing, or a value is out of range.

    Reference:
      You et al., `LARS <https://arxiv.org/abs/1708.03888>`_, 2017, and `LAMB
      <https://arxiv.org/abs/1904.00962>`_, 2019; exclusion and classic momentum as in
      ``lars_optimizer.py`` of google-research/simclr.
    """
    settings = _settings(config)
    every = settings.accumulate
    by_step = _schedule(settings, total_steps, steps_per_epoch, batch_size * every)
    tx = _rule(settings, lambda update: by_step(update * every))
    if settings.clip_norm:
        tx = optax.chain(optax.clip_by_global_norm(settings.clip_norm), tx)
    if every > 1:
        tx = optax.MultiSteps(tx, every).gradient_transformation()
    return Optimizer(_under_standard_promotion(tx), lambda step: by_step(step // every * every))


def name_mask(patterns: Sequence[str]) -> Callable[[chex.ArrayTree], Any]:
    """Makes a function that marks the parameters whose path no pattern matches.

    Args:
      patterns: Regular expressions, searched in paths such as ``encoder/stem_conv/kernel``.

    Returns:
      A function from a tree of parameters to a tree of bools: False where a pattern matches. It
      raises ValueError if a pattern matches no parameter.
    """

    def mask(params: chex.ArrayTree) -> Any:
        paths_and_leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        paths = [
            jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths_and_leaves
        ]
        for pattern in patterns:
            if not any(re.search(pattern, path) for path in paths):
                raise ValueError(
                    f"The optimizer's exclude pattern {pattern!r} matches none of the parameters "
                    f"({', '.join(paths[:3])}, ...): correct it or take it out."
                )
        kept = [not any(re.search(pattern, path) for pattern in patterns) for path in paths]
        return jax.tree_util.tree_unflatten(structure, kept)

    return mask


def _rule(settings: Settings, rate: optax.Schedule) -> optax.GradientTransformation:
    mask = name_mask(settings.exclude) if settings.exclude else True
    decay = (
        optax.add_decayed_weights(settings.weight_decay, mask)
        if settings.weight_decay
        else optax.identity()
    )
    scale = optax.scale_by_learning_rate(rate)
    adam = optax.scale_by_adam(settings.b1, settings.b2, settings.eps)
    momentum = (
        optax.trace(settings.momentum, settings.nesterov) if settings.momentum else optax.identity()
    )
    if settings.name == "sgd":
        return optax.chain(decay, momentum, scale)
    if settings.name in ("adam", "adamw"):
        return optax.chain(adam, decay, scale)
    if settings.name == "lamb":
        return optax.chain(adam, decay, optax.masked(optax.scale_by_trust_ratio(), mask), scale)
    trust = optax.masked(
        optax.scale_by_trust_ratio(trust_coefficient=settings.trust_coefficient), mask
    )
    if settings.classic_momentum:
        return optax.chain(decay, trust, scale, momentum)
    return optax.chain(decay, trust, momentum, scale)


def _under_standard_promotion(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """Lets programs that forbid implicit type promotion use optax, whose Adam relies on it."""

    def init(params: optax.Params) -> optax.OptState:
        with jax.numpy_dtype_promotion("standard"):
            return tx.init(params)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        with jax.numpy_dtype_promotion("standard"):
            return tx.update(updates, state, params)

    return optax.GradientTransformation(init, update)


def _schedule(
    settings: Settings, total_steps: int, steps_per_epoch: float, batch_size: int
) -> optax.Schedule:
    """Learning rate by train step."""
    factor = {"linear": batch_size / 256, "sqrt": math.sqrt(batch_size), "none": 1.0}
    peak = settings.learning_rate * factor[settings.scaling]
    warmup = settings.warmup_steps or round(settings.warmup_epochs * steps_per_epoch)
    if warmup > total_steps:
        raise UserError(
            f"The optimizer's warm-up takes {warmup} steps but the run has only {total_steps}: "
            "shorten warmup_steps or warmup_epochs, or train longer."
        )
    boundaries = [epoch * steps_per_epoch for epoch in settings.step_epochs]
    boundaries += [fraction * total_steps for fraction in settings.step_fractions]
    boundaries.sort()

    def after_warmup(step: jax.Array) -> jax.Array:
        if settings.schedule == "cosine":
            progress = (step - warmup) / max(total_steps - warmup, 1)
            cosine = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(progress, 0.0, 1.0)))
            return settings.end_value + (peak - settings.end_value) * cosine
        if settings.schedule == "constant":
            return jnp.full_like(step, peak)
        passed = jnp.searchsorted(jnp.asarray(boundaries, jnp.float32), step, side="right")
        return peak * settings.step_factor ** passed.astype(jnp.float32)

    def schedule(step: chex.Numeric) -> jax.Array:
        now = jnp.asarray(step, jnp.float32)
        return jnp.where(now < warmup, peak * now / max(warmup, 1), after_warmup(now))

    return schedule


def _settings(config: Mapping[str, Any]) -> Settings:
    fields = dataclasses.fields(Settings)
    known = [field.name for field in fields]
    for key in config:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise UserError(f"The optimizer has no setting {key!r}: did you mean {nearest!r}?")
    for key in ("name", "learning_rate"):
        if key not in config:
            raise UserError(f"The optimizer's config lacks {key!r}: give it.")
    settings = Settings(**config)
    _check_choice("name", settings.name, ("sgd", "lars", "adam", "adamw", "lamb"))
    _check_choice("scaling", settings.scaling, ("linear", "sqrt", "none"))
    _check_choice("schedule", settings.schedule, ("cosine", "constant", "step"))
    for key, low, high in (
        ("learning_rate", 0.0, math.inf),
        ("warmup_steps", 0, math.inf),
        ("warmup_epochs", 0.0, math.inf),
        ("momentum", 0.0, 1.0),
        ("weight_decay", 0.0, math.inf),
        ("clip_norm", 0.0, math.inf),
        ("accumulate", 1, math.inf),
    ):
        value = getattr(settings, key)
        if not low <= value < high:
            raise UserError(f"The optimizer's {key} is {value}: it must be in [{low}, {high}).")
    if isinstance(settings.exclude, str):
        raise UserError(
            f"The optimizer's exclude is {settings.exclude!r}: give a list of patterns."
        )
    if settings.warmup_steps and settings.warmup_epochs:
        raise UserError("The optimizer has both warmup_steps and warmup_epochs: give one of them.")
    if settings.schedule == "step" and bool(settings.step_epochs) == bool(settings.step_fractions):
        raise UserError(
            "The optimizer's schedule is 'step': give either step_epochs or step_fractions."
        )
    if settings.name == "adam" and settings.weight_decay:
        raise UserError(
            "The optimizer is 'adam', which has no weight decay: choose 'adamw', or set "
            "weight_decay to 0."
        )
    return settings


def _check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"The optimizer's {key} is {value!r}: choose one of {', '.join(choices)}.")
