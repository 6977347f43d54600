"""Turns one stored image into a uint8 array of the asked size and number of channels.

Decoding is OpenCV's. The orientation tag of EXIF is ignored: the stored pixels are used as they
are, which is what TensorFlow's and Pillow's plain readers do as well.
"""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

Resize = Literal["short_side", "exact", "none"]

_JPEG_START = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_JPEG_SCAN = 0xDA
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"

# Images are decoded side by side in threads of our own, so OpenCV must not start more.
cv2.setNumThreads(0)


class CorruptImage(Exception):
    """The bytes of an image are damaged, cut short or of no known format."""


def decode(
    image: bytes | np.ndarray,
    *,
    channels: int,
    image_size: int,
    resize: Resize = "short_side",
) -> UInt8[np.ndarray, "{image_size} {image_size} {channels}"]:
    """Decodes, converts and resizes one image.

    Colour order is RGB. A grey image becomes three equal channels, a colour image becomes luma
    (0.299 R + 0.587 G + 0.114 B), an alpha channel is dropped, 16 bits become the upper 8.
    Shrinking averages areas, enlarging is bilinear.

    Args:
      image: an encoded file (JPEG, PNG, BMP, WebP, ...), or uint8 pixels (H, W) or (H, W, C) with
        C in 1, 3 (RGB), 4 (RGBA).
      channels: 1 or 3.
      image_size: height and width of the result, in pixels.
      resize: "short_side" cuts the centre square and resizes it, so that the short side becomes
        `image_size`; "exact" resizes without regard to the aspect; "none" wants the image to have
        that size already.

    Returns:
      The pixels, uint8, (image_size, image_size, channels).

    Raises:
      CorruptImage: the bytes cannot be decoded, or end too early.
      ValueError: `resize` is "none" and the size differs, or an argument is impossible.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    if isinstance(image, bytes):
        pixels = _decode_bytes(image, channels)
    else:
        pixels = _convert_channels(image, channels)
    height, width = pixels.shape[:2]
    if resize == "short_side":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = _resize(pixels[top : top + side, left : left + side], image_size)
    elif resize == "exact":
        pixels = _resize(pixels, image_size)
    elif resize != "none":
        raise ValueError(f"resize must be 'short_side', 'exact' or 'none', got {resize!r}")
    elif (height, width) != (image_size, image_size):
        raise ValueError(f"is {height}x{width} pixels, not {image_size}x{image_size}")
    return np.ascontiguousarray(pixels).reshape(image_size, image_size, channels)


def _decode_bytes(data: bytes, channels: int) -> np.ndarray:
    if _ends_early(data):
        raise CorruptImage("the file ends before the image does")
    flag = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise CorruptImage("OpenCV cannot decode it") from error
    if pixels is None:
        raise CorruptImage("OpenCV cannot decode it")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if channels == 3 else pixels


def _ends_early(data: bytes) -> bool:
    """Looks for the end mark, since some versions of OpenCV fill what is missing with grey."""
    if data.startswith(_JPEG_START):
        if data.endswith(_JPEG_END):
            return False
        return data.rfind(_JPEG_END, _jpeg_scan_start(data)) < 0
    if data.startswith(_PNG_START):
        return data.rfind(_PNG_END) < 0
    return False


def _jpeg_scan_start(data: bytes) -> int:
    """The place of the first scan; an end mark before it belongs to an embedded thumbnail.

    Inside a scan the bytes FF D9 can only be the end mark (ITU T.81, B.1.1.2 and B.1.1.5).
    """
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF or data[place + 1] in (0x00, 0xFF):
            place += 1
        elif data[place + 1] == _JPEG_SCAN:
            return place
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return len(data)


def _convert_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(f"pixels must be uint8 (H, W[, C]), got {pixels.dtype} {pixels.shape}")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] not in (1, 3, 4):
        raise ValueError(f"pixels must have 1, 3 or 4 channels, got {pixels.shape[2]}")
    if pixels.shape[2] == 1:
        return pixels if channels == 1 else np.repeat(pixels, 3, axis=2)
    pixels = pixels[:, :, :3]
    if channels == 3:
        return pixels
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)


def _resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resizes to (size, size): first shrinks the sides that are too long, then enlarges the rest.

    OpenCV's area filter falls back to a poor one when any side grows, hence the two passes.
    """
    height, width = pixels.shape[:2]
    shrunk = (min(height, size), min(width, size))
    if shrunk != (height, width):
        pixels = cv2.resize(pixels, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if shrunk != (size, size):
        pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)
    return pixels
