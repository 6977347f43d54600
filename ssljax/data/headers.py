"""What the bytes of an image file say of it before they are decoded."""

import zlib
from collections.abc import Iterator
from typing import Literal

_JPEG_START = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_JPEG_SCAN = 0xDA
_JPEG_EXIF = 0xE1
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF_START = b"Exif\x00\x00"
_EXIF_ORIENTATION = 0x0112
_FIRST_TURNED, _LAST_TURNED = 5, 8
"""Of the orientations of EXIF, the first and the last that swap height and width."""
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_PNG_DEPTH, _PNG_COLOR_TYPE = 24, 25
_PNG_GREY, _PNG_PALETTE = 0, 3
_PNG_WITH_ALPHA = (4, 6)


def stored_size(data: bytes) -> tuple[int, int] | None:
    """The size of a JPEG as it is seen, read from its header.

    Args:
      data: The file.

    Returns:
      (height, width) in pixels, after the orientation of EXIF; None for other formats, and where
      the header does not tell.
    """
    if not data.startswith(_JPEG_START):
        return None
    turned = False
    for marker, start, end in _jpeg_segments(data):
        if marker == _JPEG_EXIF and data.startswith(_EXIF_START, start):
            orientation = _orientation(data[start + len(_EXIF_START) : end])
            turned = _FIRST_TURNED <= orientation <= _LAST_TURNED
        elif marker in _JPEG_FRAMES:
            height = int.from_bytes(data[start + 1 : start + 3], "big")
            width = int.from_bytes(data[start + 3 : start + 5], "big")
            if not height or not width:
                return None
            return (width, height) if turned else (height, width)
    return None


def is_jpeg(data: bytes) -> bool:
    """Whether these bytes are a JPEG."""
    return data.startswith(_JPEG_START)


def ends_early(data: bytes) -> bool:
    """Looks for the end mark, since some versions of OpenCV fill what is missing with grey."""
    if data.startswith(_JPEG_START):
        if data.endswith(_JPEG_END):
            return False
        return data.rfind(_JPEG_END, _jpeg_scan_start(data)) < 0
    if data.startswith(_PNG_START):
        return data.rfind(_PNG_END) < 0
    return False


def png_has_alpha(data: bytes) -> bool:
    """Whether these bytes are a PNG with an alpha channel."""
    return _png_color_type(data) in _PNG_WITH_ALPHA


def png_as_numbers(data: bytes) -> bytes:
    """Turns a PNG with a palette into a grey one, whose pixels are the numbers of the colours.

    Transparency is dropped as well. Bytes that are no grey PNG and none with a palette stay.
    """
    if _png_color_type(data) not in (_PNG_GREY, _PNG_PALETTE):
        return data
    place, kept = len(_PNG_START), [data[: len(_PNG_START)]]
    while place + 8 <= len(data):
        name = data[place + 4 : place + 8]
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if name == b"IHDR":
            head = data[place + 4 : place + 17] + bytes([_PNG_GREY]) + data[place + 18 : place + 21]
            kept += [data[place : place + 4], head, zlib.crc32(head).to_bytes(4, "big")]
        elif name in (b"IDAT", b"IEND"):
            kept.append(data[place:end])
        place = end
    return b"".join(kept)


def png_white(data: bytes) -> int:
    """The grey level by which OpenCV multiplies the numbers of a PNG of 1, 2 or 4 bits; else 1."""
    depth = data[_PNG_DEPTH] if _png_color_type(data) in (_PNG_GREY, _PNG_PALETTE) else 8
    return 255 // (2**depth - 1) if depth < 8 else 1


def _png_color_type(data: bytes) -> int | None:
    if data.startswith(_PNG_START) and len(data) > _PNG_COLOR_TYPE:
        return data[_PNG_COLOR_TYPE]
    return None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the contents of each segment, up to and with the first scan."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF or data[place + 1] in (0x00, 0xFF):
            place += 1
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield data[place + 1], place + 4, end
        if data[place + 1] == _JPEG_SCAN:
            return
        place = end


def _jpeg_scan_start(data: bytes) -> int:
    """The place of the first scan; an end mark before it belongs to an embedded thumbnail.

    Inside a scan the bytes FF D9 can only be the end mark (ITU T.81, B.1.1.2 and B.1.1.5).
    """
    for marker, start, _ in _jpeg_segments(data):
        if marker == _JPEG_SCAN:
            return start - 4
    return len(data)


def _orientation(exif: bytes) -> int:
    """The orientation, from 1 to 8, in the first directory of EXIF's TIFF; 1 where it has none."""
    order: Literal["little", "big"] = "little" if exif.startswith(b"II") else "big"
    first = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[first : first + 2], order)
    for entry in range(first + 2, first + 2 + 12 * count, 12):
        if int.from_bytes(exif[entry : entry + 2], order) == _EXIF_ORIENTATION:
            return int.from_bytes(exif[entry + 8 : entry + 10], order)
    return 1
