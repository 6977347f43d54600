"""Random resized crops of whole photographs, cut on the host before anything is sent.

Where an image is stored as a square of a few hundred pixels, a crop sees the enlarged middle of a
photograph. Here each view is cut from the whole, and a JPEG is decoded no larger than its crops
need. What is drawn is a function of the seed, the batch, the place in the batch and the view.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from ssljax.augment.policy import ViewPolicy
from ssljax.data.decode import open_image, open_reduced
from ssljax.data.fields import Field, Frame, Image
from ssljax.data.fit import resize_pixels
from ssljax.data.headers import stored_size
from ssljax.errors import UserError

_TRIES = 10
_REDUCTIONS = (8, 4, 2)
_ENLARGING = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
# Sets this stream of random numbers apart from others of the same seed.
_STREAM = 0x63726F70

Box = tuple[int, int, int, int]
"""(top, left, height, width) in pixels."""


def is_crop(field: str) -> bool:
    """Whether a field of a batch holds what `HostCrops` has cut."""
    return field.startswith("crop") and field[4:].isdecimal()


@dataclasses.dataclass(frozen=True)
class Crop:
    """How one view is cut: see `ssljax.augment.ViewPolicy`.

    Without a scale it is the centre square, as on the device.
    """

    size: int
    scale: tuple[float, float] | None
    ratio: tuple[float, float]
    interpolation: Literal["bilinear", "bicubic"]


class HostCrops:
    """Cuts all views of an image; in a batch they are the fields "crop0", "crop1" and so on."""

    def __init__(self, crops: Sequence[Crop], seed: int) -> None:
        """Keeps the settings.

        Args:
          crops: One for each view.
          seed: Of the draws; any integer from 0.
        """
        self._crops = tuple(crops)
        self._seed = seed

    def fields(self, frame: Frame) -> dict[str, tuple[int, ...]]:
        """The shape of each view by the name of its field."""
        return {
            f"crop{view}": (crop.size, crop.size, frame.channels)
            for view, crop in enumerate(self._crops)
        }

    def cut(
        self, image: bytes | np.ndarray, frame: Frame, batch: int, place: int
    ) -> dict[str, UInt8[np.ndarray, "_height _width channels"]]:
        """Draws and cuts the views of one image.

        Args:
          image: As for `open_image`.
          frame: Of which the channels and the range count.
          batch: The number of the batch in the run.
          place: The image's place in the global batch.

        Returns:
          The views, by field.

        Raises:
          CorruptImage: The bytes cannot be decoded.
          Misfit: The image has other channels, or no known scale.
        """
        size = stored_size(image) if isinstance(image, bytes) else None
        pixels = None
        if size is None or frame.channels not in (1, 3) or frame.value_range is not None:
            pixels = open_image(image, channels=frame.channels, value_range=frame.value_range)
            size = pixels.shape[0], pixels.shape[1]
        boxes = [
            sample_box(random_numbers(self._seed, batch, place, view), *size, crop)
            for view, crop in enumerate(self._crops)
        ]
        if pixels is None:
            assert isinstance(image, bytes)
            pixels = open_reduced(image, channels=frame.channels, factor=self._reduction(boxes))
        return {
            f"crop{view}": _cut(pixels, box, size, crop)
            for view, (box, crop) in enumerate(zip(boxes, self._crops, strict=True))
        }

    def _reduction(self, boxes: Sequence[Box]) -> int:
        """The most by which the image may be reduced so that no crop has to be enlarged for it."""
        spare = min(min(box[2:]) / crop.size for box, crop in zip(boxes, self._crops, strict=True))
        return next((factor for factor in _REDUCTIONS if factor <= spare), 1)


def random_numbers(seed: int, batch: int, place: int, view: int) -> Float[np.ndarray, " numbers"]:
    """Numbers in [0, 1) that these four fix, on any machine and in any process.

    NumPy keeps the raw stream of a bit generator the same in all versions (NEP 19).

    Args:
      seed: From 0.
      batch: Number of the batch in the run.
      place: In the global batch.
      view: Number of the view.

    Returns:
      As many as `sample_box` takes.
    """
    key = np.array([seed, _STREAM], np.uint64)
    source = np.random.Philox(key=key, counter=[0, view, place, batch])
    return (source.random_raw(2 * _TRIES + 2) >> np.uint64(11)) * 2.0**-53


def sample_box(numbers: Float[np.ndarray, " numbers"], height: int, width: int, crop: Crop) -> Box:
    """Samples one box as `ssljax.augment.sample_crop_boxes` does.

    Args:
      numbers: From `random_numbers`.
      height: Of the image, in pixels.
      width: Likewise.
      crop: Gives the ranges of area and aspect ratio.

    Returns:
      The box; without a range of area the centre square, whatever the numbers.

    Reference:
      Szegedy et al., Going Deeper with Convolutions, 2015, section 6.
    """
    if crop.scale is None:
        side = min(height, width)
        return (height - side) // 2, (width - side) // 2, side, side
    draws = numbers.tolist()
    low, high = (math.log(ratio) for ratio in crop.ratio)
    for area_draw, ratio_draw in zip(draws[:_TRIES], draws[_TRIES : 2 * _TRIES], strict=True):
        area = height * width * (crop.scale[0] + (crop.scale[1] - crop.scale[0]) * area_draw)
        aspect = math.exp(low + (high - low) * ratio_draw)
        box_height, box_width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < box_height <= height and 0 < box_width <= width:
            top = int(draws[-2] * (height - box_height + 1))
            left = int(draws[-1] * (width - box_width + 1))
            return top, left, box_height, box_width
    box_height, box_width = height, width
    if width / height < crop.ratio[0]:
        box_height = max(1, round(width / crop.ratio[0]))
    elif width / height > crop.ratio[1]:
        box_width = max(1, round(height * crop.ratio[1]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def host_crops(
    policies: Sequence[tuple[ViewPolicy, int]], fields: Mapping[str, Field], method: str
) -> tuple[Crop, ...]:
    """What the host cuts for a method.

    Args:
      policies: The policies of the method's views, and how many views of each.
      fields: Of the source.
      method: Its name, for the message.

    Returns:
      One crop for each view.

    Raises:
      UserError: The views are not cut in this way, or other fields would have to be cut with them.
    """
    views = [policy for policy, count in policies for _ in range(count)]
    if not views:
        raise UserError(
            f"The method {method} makes its views otherwise than by crops of one image each: set"
            " config.data.crop to 'device'."
        )
    cut_too = sorted(set(fields) & {"mask", "boxes", "clip"})
    if cut_too or not isinstance(fields.get("image"), Image):
        raise UserError(
            f"config.data.crop='host' cuts images alone, and these records have"
            f" {', '.join(cut_too) or 'no image'}: set config.data.crop to 'device'."
        )
    crops = []
    for policy in views:
        if policy.crop_scale is None and policy.crop_padding:
            raise UserError(
                "config.data.crop='host' pads no images, and a view has crop_padding="
                f"{policy.crop_padding}: set it to 0, give the view a range of crop_scale, or set"
                " config.data.crop to 'device'."
            )
        crops.append(Crop(policy.size, policy.crop_scale, policy.crop_ratio, policy.interpolation))
    return tuple(crops)


def _cut(
    pixels: UInt8[np.ndarray, "_height _width channels"],
    box: Box,
    size: tuple[int, int],
    crop: Crop,
) -> UInt8[np.ndarray, "_out_height _out_width channels"]:
    """Cuts a box, given in pixels of the image in its own size, from the perhaps reduced image."""
    edges = []
    for start, length, whole, there in zip(box[:2], box[2:], size, pixels.shape[:2], strict=True):
        first = min(round(start * there / whole), there - 1)
        last = max(first + 1, round((start + length) * there / whole))
        edges.append(slice(first, last))
    cut = np.ascontiguousarray(pixels[edges[0], edges[1]])
    return resize_pixels(cut, crop.size, crop.size, _ENLARGING[crop.interpolation])
