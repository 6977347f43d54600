"""Videos whose objects are masked in every frame: folders as DAVIS has them, and TFDS sets."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int

from ssljax import paths
from ssljax.data.fields import Mask
from ssljax.data.sources.tfds import TfdsSource, open_builder
from ssljax.data.sources.tfds_features import get, single_features, skip_images
from ssljax.errors import UserError

_DAVIS_VOID = 255
_NO_VOID = 256


class MaskedVideo(NamedTuple):
    """A video.

    Attributes:
      name: Of the video in its set.
      count: How many frames it has.
      read: Gives the encoded image and mask of a frame, by its number.
    """

    name: str
    count: int
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


def object_numbers(raw: bytes) -> Int[np.ndarray, "height width"]:
    """Decodes a mask: 0 is the ground, other numbers are objects.

    A mask of 0 and 255 alone has one object, as in DAVIS 2016 (it becomes 1); beside other numbers
    255 is no object and counts as ground, as in DAVIS 2017.

    Raises:
      Misfit: It is no mask; see `ssljax.data.fields.Mask`.
    """
    numbers = Mask(void=_NO_VOID).numbers(raw)
    known = set(np.unique(numbers).tolist()) - {0}
    if _DAVIS_VOID in known:
        return np.where(numbers == _DAVIS_VOID, int(known == {_DAVIS_VOID}), numbers)
    return numbers


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
    TfdsSource(builder, split, image_key=keys.image)  # Says what is wrong with the split.
    records = builder.as_data_source(split=split, decoders=skip_images(builder.info.features))
    rows = defaultdict(list)
    for row in range(len(records)):
        record = records[row]
        clip = get(record, keys.clip)
        named = clip.decode() if isinstance(clip, bytes) else str(clip)
        rows[named].append((float(get(record, keys.time)), row))

    def read(order: list[tuple[float, int]], number: int) -> tuple[bytes, bytes]:
        record = records[order[number][1]]
        return get(record, keys.image), get(record, keys.mask)

    return [
        MaskedVideo(clip, len(order), functools.partial(read, sorted(order)))
        for clip, order in sorted(rows.items())
    ]
