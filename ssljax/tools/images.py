"""The images that tools read and write: files on disks or in buckets."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from ssljax import paths
from ssljax.data.decode import CorruptImage, Misfit, open_image
from ssljax.errors import UserError, is_refused, refusal
from ssljax.report.pictures import Picture, encode_png


def read_image(path: str, channels: int) -> UInt8[np.ndarray, "height width {channels}"]:
    """Reads an image file.

    Args:
      path: Of the file, on a disk or in a bucket.
      channels: 3 for red, green and blue, 1 for grey; an alpha channel is dropped.

    Raises:
      UserError: If there is no such file, or it is no image that can be read.
    """
    file = paths.resolve(path)
    try:
        return open_image(paths.read(file), channels=channels)
    except CorruptImage as error:
        raise UserError(f"{path} cannot be read as an image: {error}.") from error
    except Misfit as error:
        raise UserError(f"{path} {error}.") from error
    except Exception as error:
        if is_refused(error):
            raise UserError(refusal(error, file)) from error
        raise


def check_target(path: str) -> None:
    """Raises unless a file can be made there, before the work that fills it.

    Args:
      path: Of the file to write, whose directory is made where it is missing.

    Raises:
      UserError: If its name does not end in .png, or its directory cannot be made.
    """
    if not path.lower().endswith(".png"):
        raise UserError(
            f"{path} does not end in .png, the one format that is written: others lose what "
            "matters here."
        )
    file = paths.resolve(path)
    try:
        paths.make_directory(file.parent)
    except Exception as error:
        if is_refused(error):
            raise UserError(refusal(error, file)) from error
        raise


def write_image(path: str, picture: Picture) -> None:
    """Writes a PNG file.

    Args:
      path: Of the file, on a disk or in a bucket, that `check_target` let pass.
      picture: Of 1, 3 (red, green, blue) or 4 channels (and alpha).

    Raises:
      UserError: If it cannot be written.
    """
    file = paths.resolve(path)
    try:
        paths.write(file, encode_png(picture))
    except Exception as error:
        if is_refused(error):
            raise UserError(refusal(error, file)) from error
        raise


def check_same_size(**images: tuple[str, UInt8[np.ndarray, "_ _ _"]]) -> None:
    """Raises unless images have the same height and width.

    Args:
      **images: By the name of the flag: the path and the pixels.

    Raises:
      UserError: If two differ.
    """
    sizes = {picture.shape[:2] for _, picture in images.values()}
    if len(sizes) > 1:
        told = " and ".join(
            f"{path} {picture.shape[1]} x {picture.shape[0]}" for path, picture in images.values()
        )
        raise UserError(
            f"--{' and --'.join(images)} must have the same size, but {told} pixels differ."
        )
