"""Turns one stored image into a uint8 array of the asked size and number of channels.

Decoding is OpenCV's. The orientation tag of EXIF is applied: an image is seen as a viewer shows it.
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
_PNG_COLOR_TYPE = slice(25, 26)
_PNG_WITH_ALPHA = (b"\x04", b"\x06")
_TIFF_STARTS = (b"II*\x00", b"MM\x00*")

# Images are decoded in parallel by our own threads, so OpenCV must not start more.
cv2.setNumThreads(0)
# It would print pages about a damaged file, which the caller reports in a sentence.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class CorruptImage(Exception):
    """The bytes of an image are damaged, cut short or of no known format."""


class UnknownScale(Exception):
    """The values of an image have no known black and white."""


class FloatPNG(bytes):
    """A PNG whose four channels are the four bytes of one float32, as TFDS stores float images."""


def decode(
    image: bytes | np.ndarray,
    *,
    channels: int,
    image_size: int,
    resize: Resize = "short_side",
) -> UInt8[np.ndarray, "{image_size} {image_size} {channels}"]:
    """Decodes, converts and resizes one image.

    Colour order is RGB. A grey image becomes three equal channels, a colour image becomes luma
    (0.299 R + 0.587 G + 0.114 B), 16 bits become the upper 8, and floats in [0, 1] are multiplied
    by 255 and rounded. An alpha channel is dropped, so that a transparent pixel shows the colour
    that is stored beneath; but in TIFF the colours are multiplied by it, and in GIF it has the
    background's. Of an animation or of several pages the first is taken. Shrinking averages areas,
    enlarging is bilinear.

    Args:
      image: An encoded file (JPEG, PNG, BMP, WebP, GIF, TIFF, ...), a `FloatPNG`, or uint8 pixels
        (H, W) or (H, W, C) with C in 1, 3 (RGB), 4 (RGBA).
      channels: 1 or 3.
      image_size: Height and width of the result, in pixels.
      resize: "short_side" cuts the centre square and resizes it, so that the short side becomes
        `image_size`; "exact" resizes without regard to the aspect; "none" wants the image to have
        that size already.

    Returns:
      The pixels, uint8, (image_size, image_size, channels).

    Raises:
      CorruptImage: The bytes cannot be decoded, or end too early.
      UnknownScale: The image holds floats outside [0, 1], or integers of more than 16 bits.
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


def has_alpha(image: bytes | np.ndarray) -> bool:
    """Whether an image has an alpha channel; known of pixels and of PNG, else False."""
    if isinstance(image, bytes):
        png = image.startswith(_PNG_START) and not isinstance(image, FloatPNG)
        return png and image[_PNG_COLOR_TYPE] in _PNG_WITH_ALPHA
    return image.ndim == 3 and image.shape[2] == 4


def _decode_bytes(data: bytes, channels: int) -> np.ndarray:
    if _ends_early(data):
        raise CorruptImage("the file ends before the image does")
    if isinstance(data, FloatPNG):
        stored = _open(data, cv2.IMREAD_UNCHANGED)
        if stored is None or stored.dtype != np.uint8 or stored.shape[2:] != (4,):
            raise CorruptImage("it is no PNG of four channels, which a float image is stored as")
        rgba = cv2.cvtColor(stored, cv2.COLOR_BGRA2RGBA)
        return _convert_channels(_to_bytes(rgba.view(np.float32)), channels)
    pixels = _open(data, cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE)
    if pixels is None and data.startswith(_TIFF_STARTS):
        # TIFF alone holds numbers of other types, which OpenCV gives as they are or not at all.
        stored = _open(data, cv2.IMREAD_UNCHANGED)
        if stored is not None and stored.dtype not in (np.uint8, np.uint16):
            if stored.ndim == 3 and stored.shape[2] in (3, 4):
                stored = stored[:, :, [2, 1, 0]]
            return _convert_channels(_to_bytes(stored), channels)
    if pixels is None:
        raise CorruptImage("OpenCV cannot decode it")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if channels == 3 else pixels


def _open(data: bytes, flag: int) -> np.ndarray | None:
    """OpenCV's pixels, BGR; None where it has none to give."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None


def _to_bytes(values: np.ndarray) -> UInt8[np.ndarray, "height width *channels"]:
    """Takes 0 for black and 1 for white."""
    if not np.issubdtype(values.dtype, np.floating):
        raise UnknownScale(
            f"holds {values.dtype} numbers, whose white level is unknown: store it with 8"
            " or 16 bits"
        )
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):
        raise UnknownScale(
            f"holds floats from {low:.4g} to {high:.4g}, and only those in [0, 1] are read: scale"
            " them to that range, or store it with 8 or 16 bits"
        )
    return np.rint(values * 255).astype(np.uint8)


def _ends_early(data: bytes) -> bool:
    """Checks for the end mark, since some versions of OpenCV fill what is missing with grey."""
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
