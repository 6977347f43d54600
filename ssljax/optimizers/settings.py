"""The optimizer's part of a config, and the checks of its values."""

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ssljax.errors import UserError
from ssljax.optimizers.masks import NORMS_AND_BIASES


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of an optimizer.

    Keys that the chosen optimizer or schedule does not use are ignored, so that another one can be
    chosen on the command line.

    Attributes:
      name: The update rule: `sgd`, `lars`, `adam`, `adamw`, `lamb` or `rmsprop`.
      learning_rate: Base learning rate, before `scaling`.
      scaling: `linear`: times batch / 256. `sqrt`: times the root of the batch. The batch is
        what one update sees, `batch_size * accumulate`. `none`: as it is.
      schedule: What follows the warm-up: `cosine` or `linear` (down to `end_value` at the
        last step), `constant`, `step`, `exponential` (by one factor a step, down to
        `end_factor` times the highest rate at the last step) or `poly` (as a power of what is left
        of the run).
      warmup_steps: Train steps in which the rate climbs linearly from 0.
      warmup_epochs: The same in epochs; give one of the two.
      end_value: Last learning rate of `cosine` and `linear`, not scaled by the batch.
      power: For `poly`: the power; 0.9 for DeepLab.
      poly_every: For `poly`: the rate falls once in so many train steps, 10 in DeepLab's code.
      hold: Share of the run, after the warm-up, at the highest rate before `cosine`, `linear` and
        `exponential` begin to fall.
      step_epochs: For `step`: the epochs at which the rate is multiplied by `step_factor`.
      step_fractions: The same as fractions of the run; give one of the two.
      step_factor: For `step`: the factor.
      end_factor: For `exponential`: the last learning rate, as a factor of the highest.
      momentum: For `sgd` and `lars`, in [0, 1).
      nesterov: For `sgd` and `lars`: whether to look ahead.
      classic_momentum: For `lars`: whether the momentum buffer holds steps, learning rate
        included (SimCLR), or gradients (BYOL, MoCo v3). The two differ when the rate changes.
      trust_coefficient: For `lars`: step length as a share of the parameter's norm.
      b1: For `adam`, `adamw` and `lamb`: decay of the gradients' average.
      b2: For the same: decay of the squares' average.
      decay: For `rmsprop`: decay of the squares' average.
      eps: For all four: added to the root of the squares' average.
      weight_decay: Added to the gradient (`sgd`, `lars`, `adam`) or to the step (`adamw`, `lamb`).
      exclude: Regular expressions, searched in the path of each parameter, such as
        `encoder/stage1_block1/norm1/scale`. Parameters that one matches have no weight decay and
        no trust ratio.
      clip_norm: Greatest global norm of the gradient; 0 for no limit.
      accumulate: Batches, each fresh, whose gradients are averaged for one update. The train step
        makes that mean; all that is counted in train steps is counted in updates.
    """

    name: str
    learning_rate: float
    scaling: str = "none"
    schedule: str = "cosine"
    warmup_steps: int = 0
    warmup_epochs: float = 0.0
    end_value: float = 0.0
    power: float = 0.9
    poly_every: int = 1
    hold: float = 0.0
    step_epochs: Sequence[float] = ()
    step_fractions: Sequence[float] = ()
    step_factor: float = 0.1
    end_factor: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    classic_momentum: bool = True
    trust_coefficient: float = 0.001
    b1: float = 0.9
    b2: float = 0.999
    decay: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    exclude: Sequence[str] = (NORMS_AND_BIASES,)
    clip_norm: float = 0.0
    accumulate: int = 1

    def warmup(self, steps_per_epoch: float) -> int:
        """Train steps of the warm-up; a run that is shorter ends with it."""
        return self.warmup_steps or round(self.warmup_epochs * steps_per_epoch)


def read(config: Mapping[str, Any]) -> Settings:
    """Reads settings from keys and values.

    Raises:
      UserError: If a key is unknown or missing, or a value is out of range.
    """
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
    _check_choice("name", settings.name, ("sgd", "lars", "adam", "adamw", "lamb", "rmsprop"))
    _check_choice("scaling", settings.scaling, ("linear", "sqrt", "none"))
    schedules = ("cosine", "linear", "constant", "step", "exponential", "poly")
    _check_choice("schedule", settings.schedule, schedules)
    for key, low, high in (
        ("learning_rate", 0.0, math.inf),
        ("warmup_steps", 0, math.inf),
        ("warmup_epochs", 0.0, math.inf),
        ("end_value", 0.0, math.inf),
        ("hold", 0.0, 1.0),
        ("step_factor", 0.0, math.inf),
        ("momentum", 0.0, 1.0),
        ("b1", 0.0, 1.0),
        ("b2", 0.0, 1.0),
        ("decay", 0.0, 1.0),
        ("weight_decay", 0.0, math.inf),
        ("clip_norm", 0.0, math.inf),
        ("power", 0.0, math.inf),
        ("poly_every", 1, math.inf),
        ("accumulate", 1, math.inf),
    ):
        value = getattr(settings, key)
        if not _is_number(value) or not low <= value < high:
            raise UserError(f"The optimizer's {key} is {value!r}: it must be in [{low}, {high}).")
    for key in ("eps", "trust_coefficient", "end_factor"):
        value = getattr(settings, key)
        if not _is_number(value) or not 0.0 < value < math.inf:
            raise UserError(f"The optimizer's {key} is {value!r}: it must be a number above 0.")
    for key, high in (("step_epochs", math.inf), ("step_fractions", 1.0)):
        value = getattr(settings, key)
        if isinstance(value, str) or not all(_is_number(x) and 0 <= x <= high for x in value):
            raise UserError(
                f"The optimizer's {key} is {value!r}: give a list of numbers in [0, {high}]."
            )
    _check_patterns(settings.exclude)
    if settings.warmup_steps and settings.warmup_epochs:
        raise UserError("The optimizer has both warmup_steps and warmup_epochs: give one of them.")
    if settings.schedule == "step" and bool(settings.step_epochs) == bool(settings.step_fractions):
        raise UserError(
            "The optimizer's schedule is 'step': give either step_epochs or step_fractions."
        )
    if settings.name == "rmsprop" and settings.weight_decay:
        raise UserError(
            "The optimizer is 'rmsprop', which has no weight decay: choose 'adamw', or set "
            "weight_decay to 0."
        )
    return settings


def _check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"The optimizer's {key} is {value!r}: choose one of {', '.join(choices)}.")


def _check_patterns(patterns: Sequence[str]) -> None:
    if isinstance(patterns, str) or not all(isinstance(pattern, str) for pattern in patterns):
        raise UserError(f"The optimizer's exclude is {patterns!r}: give a list of patterns.")
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(
                f"The optimizer's exclude has {pattern!r}, which is not a valid regular expression "
                f"({error}): correct it."
            ) from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
