"""How a view of an image is made: which changes, how strong and how often, as plain data."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from ssljax.augment.blur import BlurPadding
from ssljax.augment.color import BrightnessMode, ContrastMode
from ssljax.augment.resample import Interpolation


@dataclasses.dataclass(frozen=True)
class ViewPolicy:
    """How one view is made; hashable, so that it can be a static argument of `jax.jit`.

    Attributes:
      size: Side of the square view in pixels.
      crop_scale: Range of the area of the random resized crop, as a fraction of the image's; None
        for no such crop: the shorter side is then resized to `size` and the centre taken.
      crop_ratio: Range of the crop's width / height.
      crop_padding: Pixels of zeros around the image for a random shift; needs crop_scale None.
      interpolation: "bilinear" or "bicubic", antialiased.
      flip_p: Probability of a mirrored view.
      brightness: Strength of the jitter of brightness; see `color_jitter` for all four.
      contrast: Strength of the jitter of contrast.
      saturation: Strength of the jitter of saturation.
      hue: Largest turn of the hue as a fraction of the circle.
      brightness_mode: "multiplicative" or "additive".
      contrast_mode: "torchvision" or "tensorflow", of contrast and saturation.
      jitter_p: Probability of colour jitter.
      gray_p: Probability of a grey view.
      blur_p: Probability of Gaussian blur.
      blur_sigma: Range of the blur's standard deviation in pixels.
      blur_kernel: Odd size of the blur's kernel, or None for a tenth of `size` made odd.
      blur_padding: "reflect" or "zeros" around the blurred image.
      solarize_p: Probability of solarization.
      solarize_threshold: Value in [0, 1] from which on pixels are inverted.
      mean: Mean per channel to subtract at the end, in units of [0, 1]; None to leave it.
      std: Standard deviation per channel to divide by at the end; None where mean is None.

    Raises:
      ValueError: If a value is impossible.
    """

    size: int
    crop_scale: tuple[float, float] | None = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    crop_padding: int = 0
    interpolation: Interpolation = "bilinear"
    flip_p: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    brightness_mode: BrightnessMode = "multiplicative"
    contrast_mode: ContrastMode = "torchvision"
    jitter_p: float = 0.8
    gray_p: float = 0.0
    blur_p: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    blur_kernel: int | None = None
    blur_padding: BlurPadding = "reflect"
    solarize_p: float = 0.0
    solarize_threshold: float = 0.5
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(vars(self))


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raises ValueError unless the values, one for each field of `ViewPolicy`, make a policy."""
    _check_whole(fields, "size", 1)
    _check_whole(fields, "crop_padding", 0)
    for name in ("flip_p", "jitter_p", "gray_p", "blur_p", "solarize_p", "solarize_threshold"):
        _check_number(fields, name, 1.0)
    for name in ("brightness", "contrast", "saturation"):
        _check_number(fields, name, math.inf)
    _check_number(fields, "hue", 0.5)
    _check_range(fields, "crop_ratio", math.inf)
    _check_range(fields, "blur_sigma", math.inf)
    if fields["crop_scale"] is not None:
        _check_range(fields, "crop_scale", 1.0)
        if fields["crop_padding"]:
            raise ValueError("crop_padding needs crop_scale=None: a view has one kind of crop.")
    if fields["blur_kernel"] is not None:
        _check_whole(fields, "blur_kernel", 1)
        if fields["blur_kernel"] % 2 == 0 or fields["blur_kernel"] >= 2 * fields["size"]:
            raise ValueError(
                f"blur_kernel must be odd and less than twice the size {fields['size']}, "
                f"got {fields['blur_kernel']}."
            )
    _check_choice(fields, "interpolation", ("bilinear", "bicubic"))
    _check_choice(fields, "brightness_mode", ("multiplicative", "additive"))
    _check_choice(fields, "contrast_mode", ("torchvision", "tensorflow"))
    _check_choice(fields, "blur_padding", ("reflect", "zeros"))
    mean, std = fields["mean"], fields["std"]
    if (mean is None) != (std is None):
        raise ValueError("mean and std must be given together.")
    if mean is not None:
        good = all(isinstance(v, tuple) and v and all(map(_is_number, v)) for v in (mean, std))
        if not good or len(mean) != len(std) or min(std) <= 0:
            raise ValueError(
                f"mean and std must have one number per channel, std positive, "
                f"got {mean!r} and {std!r}."
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_whole(fields: Mapping[str, Any], name: str, least: int) -> None:
    value = fields[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}.")


def _check_number(fields: Mapping[str, Any], name: str, most: float) -> None:
    value = fields[name]
    if not _is_number(value) or not 0.0 <= value <= most:
        raise ValueError(f"{name} must be a number in [0, {most:g}], got {value!r}.")


def _check_range(fields: Mapping[str, Any], name: str, most: float) -> None:
    value = fields[name]
    good = isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))
    if not good or not 0.0 < value[0] <= value[1] <= most:
        raise ValueError(f"{name} must be (low, high) within (0, {most:g}], got {value!r}.")


def _check_choice(fields: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> None:
    if fields[name] not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {fields[name]!r}.")


@runtime_checkable
class Config(Protocol):
    """Named values: a dict, or a ConfigDict, which is no Mapping."""

    def keys(self) -> Iterable[str]:
        """The names."""

    def __getitem__(self, key: str, /) -> Any:
        """The value of a name."""


def view_from_config(config: Config) -> ViewPolicy:
    """Reads a policy from named values; lists count as tuples.

    Args:
      config: Values for fields of `ViewPolicy`; fields not named keep their defaults.

    Returns:
      The policy.

    Raises:
      ValueError: If a name is unknown, `size` is missing or a value is impossible.
    """
    known = [field.name for field in dataclasses.fields(ViewPolicy)]
    values: dict[str, Any] = dict(config)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"a view has no field {unknown[0]!r}; its fields are {', '.join(known)}.")
    if "size" not in values:
        raise ValueError("a view needs a size.")
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
    defaults = {field.name: field.default for field in dataclasses.fields(ViewPolicy)}
    check_fields(defaults | values)  # Before a type checker, if any, reports it less clearly.
    return ViewPolicy(**values)
