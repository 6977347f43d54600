"""Videos whose objects are masked in every frame: folders as DAVIS has them, and TFDS sets."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int

from ssljax import paths
from ssljax.data.fields import Mask
from ssljax.data.sources.base import SPLIT_KEYS
from ssljax.data.sources.tfds import open_builder
from ssljax.data.sources.tfds_features import get, single_features
from ssljax.data.sources.tfds_videos import RecordKeys, RecordVideo, list_videos
from ssljax.errors import UserError

_DAVIS_VOID = 255
_NO_VOID = 256


class MaskedVideo(NamedTuple):
    """A video.

    Attributes:
      name: Of the video in its set.
      length: How many frames it has.
      read: Gives the encoded image and mask of a frame, by its number.
    """

    name: str
    length: int
    read: Callable[[int], tuple[bytes, bytes]]


class FrameKeys(NamedTuple):
    """The TFDS features of a set that has a record for each frame.

    Attributes:
      image: The frame.
      mask: Its mask.
      clip: Says to which video it belongs, a number or a text.
      time: Says when it is shown, any number.
    """

    image: str = "frame"
    mask: str = "mask"
    clip: str = "clip"
    time: str = "time"


def mask_numbers(raw: bytes) -> Int[np.ndarray, "height width"]:
    """Decodes a mask as it is stored.

    Raises:
      CorruptImage: It cannot be decoded.
      Misfit: It is no mask; see `ssljax.data.fields.Mask`.
    """
    return Mask(void=_NO_VOID).numbers(raw)


def has_single_object(first: Int[np.ndarray, "height width"]) -> bool:
    """Whether the masks of a video have one object, of the number 255, as in DAVIS 2016.

    Args:
      first: The numbers of its first mask.

    Returns:
      Whether they are 0 and 255 alone. What else a later mask shows says nothing: in DAVIS 2017
      all objects can be out of sight where there is void.
    """
    return set(np.unique(first).tolist()) - {0} == {_DAVIS_VOID}


def object_numbers(
    numbers: Int[np.ndarray, "height width"], *, single: bool
) -> Int[np.ndarray, "height width"]:
    """The objects of a mask: 0 is the ground, other numbers are objects.

    Args:
      numbers: Of the mask as it is stored.
      single: See `has_single_object`. Then 255 is an object and becomes 1; else it is the void of
        DAVIS 2017 and counts as ground.
    """
    return np.where(numbers == _DAVIS_VOID, int(single), numbers)


def open_masked_videos(
    name: str, split: str, directory: str, *, resolution: str, keys: FrameKeys
) -> list[MaskedVideo]:
    """Lists the videos of a set; no image is decoded.

    Args:
      name: "folder" for a directory as DAVIS has it, or a TFDS set of single frames.
      split: Of a TFDS set; of a folder, the list of videos in `ImageSets/2017/<split>.txt`, where
        there are such lists.
      directory: The folder, which holds `JPEGImages/<resolution>/<video>/` and
        `Annotations/<resolution>/<video>/`, or the directory of TFDS sets.
      resolution: Such as "480p".
      keys: Of a TFDS set.

    Returns:
      The videos, by name.

    Raises:
      UserError: There is no such set, split or feature, or a frame lacks its mask.
    """
    if name == "folder":
        return _folders(directory, split, resolution)
    return _records(name, directory, split, keys)


def _folders(directory: str, split: str, resolution: str) -> list[MaskedVideo]:
    root = paths.resolve(directory)
    images, masks = (root / kind / resolution for kind in ("JPEGImages", "Annotations"))
    for folder in (images, masks):
        if not folder.is_dir():
            raise UserError(
                f"There is no folder {folder}, and a video set holds JPEGImages/{resolution}/VIDEO "
                f"and Annotations/{resolution}/VIDEO: correct config.evals.propagation.dir or "
                "config.evals.propagation.resolution."
            )
    lists = root / "ImageSets" / "2017"
    if lists.is_dir():
        file = lists / f"{split}.txt"
        if not file.exists():
            known = ", ".join(sorted(other.stem for other in lists.glob("*.txt"))) or "none"
            raise UserError(
                f"{lists} has no list {split}.txt of videos, but {known}: name one of them in "
                "config.evals.propagation.split."
            )
        names = paths.read(file).decode().split()
    else:
        names = [folder.name for folder in images.iterdir() if folder.is_dir()]
    videos = []
    for name in sorted(names):
        frames = sorted(x for x in (images / name).glob("*") if x.suffix in (".jpg", ".png"))
        pairs = [(frame, masks / name / f"{frame.stem}.png") for frame in frames]
        missing = [mask for _, mask in pairs if not mask.exists()]
        if missing or not pairs:
            what = missing[0] if missing else images / name / "*.jpg"
            raise UserError(
                f"There is no {what}: every frame of a video needs a mask of the same name."
            )

        def read(number: int, pairs: list = pairs) -> tuple[bytes, bytes]:
            image, mask = pairs[number]
            return paths.read(image), paths.read(mask)

        videos.append(MaskedVideo(name, len(pairs), read))
    return videos


def _records(name: str, directory: str, split: str, keys: FrameKeys) -> list[MaskedVideo]:
    builder = open_builder(name, directory or None)
    features = dict(single_features(builder.info.features))
    for part, key in keys._asdict().items():
        is_image = isinstance(features.get(key), tfds.features.Image)
        if key not in features or (part in ("image", "mask")) != is_image:
            raise UserError(
                f"{name} has no feature {key!r} that could be a frame's {part}, among "
                f"{', '.join(sorted(features))}: correct config.evals.propagation.{part}_key."
            )
    try:
        videos = list_videos(builder, split, RecordKeys(keys.image, keys.clip, keys.time))
    except UserError as error:
        told = str(error).replace(SPLIT_KEYS, "config.evals.propagation.split")
        raise UserError(told) from error

    def read(video: RecordVideo, number: int) -> tuple[bytes, bytes]:
        record = video.record(number)
        return get(record, keys.image), get(record, keys.mask)

    return [
        MaskedVideo(video.name, video.count(), functools.partial(read, video))
        for video in sorted(videos, key=lambda video: video.name)
    ]
