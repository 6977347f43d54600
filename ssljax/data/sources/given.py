"""Images that a program hands over: arrays, pictures of Pillow, paths, or a folder."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from ssljax import paths
from ssljax.data.sources.base import Record, Source
from ssljax.data.sources.files import ImageFiles
from ssljax.data.sources.layout import read_file
from ssljax.errors import UserError, brief

_PLAIN_MODES = ("1", "L", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "I", "F")
"""Pillow's modes whose numbers are those of `ssljax.data.decode.open_image`."""
_COLORS = (1, 3, 4)


class GivenImages(Source):
    """Images in the order in which they are given, of any sizes and kinds, without labels.

    Args:
      images: Each an array (H, W) or (H, W, C), a picture of Pillow, or the path of a file.

    Raises:
      UserError: If there is none.
    """

    def __init__(self, images: Iterable[Any]) -> None:
        self._images = list(images)
        if not self._images:
            raise UserError("There are no images: give one or more.")
        self.name, self.split, self.num_classes, self.class_names = "images", "", None, ()

    def __len__(self) -> int:
        return len(self._images)

    def read(self, index: int) -> Record:
        """The pixels or the bytes of an image.

        Raises:
          UserError: It is a file that cannot be read, or no image.
        """
        image = self._images[index]
        if isinstance(image, str | os.PathLike):
            return {"image": read_file(paths.resolve(image))}
        try:
            pixels = _of_pillow(image) if hasattr(image, "getexif") else np.asarray(image)
        except ValueError as error:  # A picture of another kind, or lists of several lengths.
            raise UserError(f"{self.describe(index)} cannot be read: {brief(error)}.") from error
        if pixels.ndim not in (2, 3) or not pixels.size or pixels.dtype.kind not in "biuf":
            raise UserError(
                f"{self.describe(index)} is {pixels.dtype} {pixels.shape}: give numbers (height, "
                "width, channels) or (height, width), one pixel or more."
            )
        return {"image": pixels.astype(pixels.dtype.newbyteorder("="), copy=False)}

    def describe(self, index: int) -> str:
        """The path of a file; of what is in memory its place."""
        image = self._images[index]
        is_path = isinstance(image, str | os.PathLike)
        return str(paths.resolve(image)) if is_path else f"Image {index}"


def open_images(images: Any) -> Source:
    """Opens what a program hands over; see `ssljax.Model.embed`.

    Args:
      images: An array (N, H, W, C) or, of grey images, (N, H, W); a sequence of what `GivenImages`
        takes; the path of a file; or that of a directory, whose images are taken in the order of
        their paths, with those in the folders below it.

    Raises:
      UserError: If there is no such file or directory, or no image, or an array of another shape.
    """
    if isinstance(images, str | os.PathLike):
        place = paths.resolve(images)
        if place.is_file():
            return GivenImages([images])
        return ImageFiles(place, "the argument `images`")
    if hasattr(images, "getexif"):
        return GivenImages([images])
    shape = getattr(images, "shape", None)
    if shape is not None:
        if len(shape) not in (3, 4) or (len(shape) == 3 and shape[2] in _COLORS):
            one = ": one image is given as [image]" if len(shape) in (2, 3) else ""
            raise UserError(
                f"The array of images has the shape {tuple(shape)}, and it must be (number, "
                f"height, width, channels), or (number, height, width) of grey images{one}."
            )
        images = np.asarray(images)  # Of an array on devices, all at once.
    if not isinstance(images, Iterable):
        raise UserError(
            f"The images are {type(images).__name__}: give an array, a list of images, or the path "
            "of a file or a folder."
        )
    return GivenImages(images)


def _of_pillow(picture: Any) -> np.ndarray:
    """The pixels of a picture of Pillow, turned as its EXIF orientation says."""
    from PIL import ImageOps  # Whoever has such a picture has Pillow.

    turned = ImageOps.exif_transpose(picture)
    return np.asarray(turned if turned.mode in _PLAIN_MODES else turned.convert("RGB"))
