"""Types and ranges of the values of a config, whatever the method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ssljax.errors import UserError


class _Range(NamedTuple):
    """Which numbers a key takes."""

    holds: Callable[[float], bool]
    wanted: str


_NOT_NEGATIVE = _Range(lambda x: x >= 0, "0 or more")
_POSITIVE = _Range(lambda x: x > 0, "above 0")
_FRACTION = _Range(lambda x: 0 <= x <= 1, "in [0, 1]")
_SHARE = _Range(lambda x: 0 <= x < 1, "in [0, 1)")

# One name has one meaning, whichever method has it. What is not named here is 0 or more.
_RANGES: dict[str, _Range] = {
    **dict.fromkeys(
        (
            "block",
            "bn_groups",
            "bottleneck_dim",
            "candidates",
            "clip",
            "clusterings",
            "decoder_depth",
            "decoder_dim",
            "decoder_heads",
            "discriminator.width",
            "discriminator_steps",
            "epsilon",
            "fade_every",
            "fmap_base",
            "fmap_max",
            "generator.width",
            "generator_batch",
            "group_size",
            "head.groups",
            "kmeans_iterations",
            "knot_limit",
            "knots",
            "latent_dim",
            "margin",
            "mask_size",
            "max_detections",
            "out_dim",
            "patch_bottleneck_dim",
            "patch_out_dim",
            "patch_temperature",
            "penalty_target",
            "predictor_depth",
            "predictor_dim",
            "predictor_heads",
            "predictor_hidden_dim",
            "projector_dim",
            "projector_hidden_dim",
            "projector_layers",
            "prototypes",
            "pyramid.channels",
            "pyramid.finest",
            "pyramid.levels",
            "sigma",
            "sinkhorn_iterations",
            "slices",
            "student_temperature",
            "teacher_temperature",
            "teacher_warmup_temperature",
            "target_blocks",
            "temperature",
        ),
        _POSITIVE,
    ),
    **dict.fromkeys(
        ("alpha", "momentum", "nms_threshold", "score_threshold", "step_fractions"), _FRACTION
    ),
    **dict.fromkeys(
        (
            "center_momentum",
            "discriminator_ema_decay",
            "drop_path",
            "dropout",
            "ema_decay",
            "input_dropout",
        ),
        _SHARE,
    ),
    "data.range": _Range(lambda x: True, "a number"),
    "mask_ratio": _Range(lambda x: 0 < x < 1, "above 0 and below 1"),
    **dict.fromkeys(
        ("mesh.data", "mesh.fsdp"),
        _Range(lambda x: x == -1 or x > 0, "-1 (what is left) or above 0"),
    ),
}
_LARGEST_WHOLE = 2**31 - 1
"""Steps, sizes and counts are 32-bit integers on the devices."""


def check_numbers(values: Mapping[str, Any]) -> None:
    """Raises a `UserError` at the first number that is out of range.

    Every number, in tuples too, must be finite in 32 bits and in the range of its key.

    Args:
      values: The values of a config by dotted key.
    """
    for key, value in values.items():
        allowed = _range(key)
        for number in _numbers(value):
            # A number too large or too small for 32 bits is infinite or 0 in the step.
            with np.errstate(over="ignore", under="ignore"):
                as_seen = float(np.float32(number)) if isinstance(number, float) else number
            if not math.isfinite(as_seen):
                wanted = "a finite number"
            elif isinstance(number, int) and number > _LARGEST_WHOLE and not key.endswith("seed"):
                wanted = f"at most {_LARGEST_WHOLE}"
            elif not allowed.holds(as_seen):
                wanted = allowed.wanted
            else:
                continue
            raise UserError(f"config.{key}={value!r} is impossible: it must be {wanted}.")


def _range(key: str) -> _Range:
    parts = key.split(".")
    for name in (".".join(parts[-2:]), parts[-1]):
        if name in _RANGES:
            return _RANGES[name]
    return _NOT_NEGATIVE


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, tuple | list):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


_KINDS: tuple[tuple[type, Any, str], ...] = (
    (bool, bool, "true or false"),
    (int, int, "a whole number"),
    (float, int | float, "a number"),
    (str, str, "a string"),
    (tuple, tuple | list, "a tuple"),
)
"""Types of defaults, the types that may take their place, and what they are called."""


def kind(default: Any) -> str:
    """What the values of a key must be, by its default."""
    return next((name for of, _, name in _KINDS if isinstance(default, of)), "of another type")


def is_mistyped(value: Any, default: Any) -> bool:
    """Whether a value is of another kind than the key's default; a default of None says nothing.

    A whole number may stand for any number, and a list for a tuple.
    """
    for of, taken, _ in _KINDS:
        if isinstance(default, of):
            return not isinstance(value, taken) or isinstance(value, bool) != (of is bool)
    return False
