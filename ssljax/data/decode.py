"""Turns one stored image into a uint8 array of the asked size and number of channels.

Decoding is OpenCV's. The orientation tag of EXIF is applied: an image is seen as a viewer shows it.
"""

import io
import logging
import tokenize

import cv2
import numpy as np
from jaxtyping import UInt8

from ssljax.data.fit import Resize, fit_pixels, place
from ssljax.data.headers import ends_early, is_jpeg, png_has_alpha

Range = tuple[float, float]
"""The numbers that are black and white."""

_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_FLAGS = {
    (1, 1): cv2.IMREAD_GRAYSCALE,
    (1, 2): cv2.IMREAD_REDUCED_GRAYSCALE_2,
    (1, 4): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    (1, 8): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    (3, 1): cv2.IMREAD_COLOR,
    (3, 2): cv2.IMREAD_REDUCED_COLOR_2,
    (3, 4): cv2.IMREAD_REDUCED_COLOR_4,
    (3, 8): cv2.IMREAD_REDUCED_COLOR_8,
}
_NPY_START = b"\x93NUMPY"

# Images are decoded in parallel by our own threads, so OpenCV must not start more.
cv2.setNumThreads(0)
# Both would print pages about a damaged file, which the caller tells in a sentence.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


class CorruptImage(Exception):
    """The bytes of an image are damaged, cut short or of no known format."""


class Misfit(Exception):
    """An image is sound, and not such as the config says: of other channels or of no known scale.

    Its message goes on where the name of the image ends.

    Attributes:
      setting: What the message goes on with where the user has a config to set.
    """

    def __init__(self, told: str, setting: str = "") -> None:
        super().__init__(told)
        self.setting = setting


class FloatPNG(bytes):
    """A PNG whose four channels are the four bytes of one float32, as TFDS stores float images."""


def decode(
    image: bytes | np.ndarray,
    *,
    channels: int,
    image_size: int,
    resize: Resize = "short_side",
    value_range: Range | None = None,
) -> UInt8[np.ndarray, "{image_size} {image_size} {channels}"]:
    """Decodes, converts and resizes one image: `open_image`, then `ssljax.data.fit.fit_pixels`.

    Args:
      image: As for `open_image`.
      channels: Likewise.
      image_size: Height and width of the result, in pixels.
      resize: See `ssljax.data.fit.place`.
      value_range: As for `open_image`.

    Returns:
      The pixels, uint8, (image_size, image_size, channels).

    Raises:
      CorruptImage: The bytes cannot be decoded, or end too early.
      Misfit: The image has other channels, or no known scale.
      ValueError: `resize` is "none" and the size differs, or an argument is impossible.
    """
    pixels = open_image(image, channels=channels, value_range=value_range)
    height, width = pixels.shape[:2]
    return fit_pixels(pixels, place(height, width, image_size, resize), image_size)


def open_image(
    image: bytes | np.ndarray, *, channels: int, value_range: Range | None = None
) -> UInt8[np.ndarray, "height width {channels}"]:
    """Decodes one image to bytes, in its own size.

    With 1 or 3 channels the colour order is RGB. A grey image becomes three equal channels, a
    colour image becomes luma (0.299 R + 0.587 G + 0.114 B). An alpha channel is dropped, so that a
    transparent pixel shows the colour that is stored beneath; but in TIFF the colours are
    multiplied by it, and in GIF it has the background's. Of an animation or of several pages the
    first is taken. With other numbers the image must have just as many channels, and the pages of a
    TIFF count as channels.

    One scale holds for all images of a set, so that they stay comparable: without a range, 8 bits
    are taken as they are, 16 bits become the upper 8, true is white, and floats in [0, 1] are
    multiplied by 255 and rounded. Other numbers need a range; what lies outside it is black or
    white.

    Args:
      image: An encoded file (JPEG, PNG, BMP, WebP, GIF, TIFF, NPY, ...), a `FloatPNG`, or pixels
        (H, W) or (H, W, C). NPY holds such pixels.
      channels: From 1.
      value_range: The numbers that become 0 and 255, the rest linearly; TIFF is then taken as it
        is stored.

    Returns:
      The pixels.

    Raises:
      CorruptImage: The bytes cannot be decoded, or end too early.
      Misfit: The image has other channels; or it has no range, and holds floats outside [0, 1], or
        integers with a sign or of more than 16 bits.
      ValueError: The number of channels is impossible.
    """
    if channels < 1:
        raise ValueError(f"channels must be at least 1, got {channels}")
    plain = channels in (1, 3) and value_range is None
    if isinstance(image, np.ndarray):
        values = image
    elif isinstance(image, FloatPNG):
        values = _open_float_png(image)
    elif plain and not image.startswith(_NPY_START):
        return _decode_bytes(image, channels)
    elif image.startswith(_TIFF_STARTS):
        values = _open_tiff(image)
    else:
        values = open_stored(image)
    return _convert_channels(_to_bytes(values, value_range), channels)


def has_alpha(image: bytes | np.ndarray) -> bool:
    """Whether an image has an alpha channel; known of pixels and of PNG, else False."""
    if isinstance(image, bytes):
        return png_has_alpha(image) and not isinstance(image, FloatPNG)
    return image.ndim == 3 and image.shape[2] == 4


def open_reduced(
    image: bytes, *, channels: int, factor: int
) -> UInt8[np.ndarray, "height width {channels}"]:
    """Decodes a JPEG to a part of its size, which costs less than decoding it whole.

    Args:
      image: The file.
      channels: 1 or 3, as for `open_image`.
      factor: Height and width are divided by this and rounded up: 1, 2, 4 or 8.

    Returns:
      The pixels.

    Raises:
      CorruptImage: The bytes cannot be decoded, or end too early.
    """
    return _decode_bytes(image, channels, factor)


def open_stored(data: bytes) -> np.ndarray:
    """Decodes an image to the numbers that it holds, (H, W) or (H, W, C), colours as RGB.

    Raises:
      CorruptImage: The bytes cannot be decoded, or end too early.
      Misfit: They are an array of another shape.
    """
    if data.startswith(_NPY_START):
        return _open_npy(data)
    # Of a JPEG the unchanged pixels are not turned as its EXIF orientation says.
    as_turned = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    flag = as_turned if is_jpeg(data) else cv2.IMREAD_UNCHANGED
    stored = None if ends_early(data) else _open(data, flag)
    if stored is None:
        raise CorruptImage("OpenCV cannot decode it whole")
    if stored.ndim == 3 and stored.shape[2] in (3, 4):
        return stored[:, :, [2, 1, 0, 3][: stored.shape[2]]]
    return stored


def _open_npy(data: bytes) -> np.ndarray:
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, SyntaxError, tokenize.TokenError) as error:
        raise CorruptImage(f"NumPy cannot read it without pickle ({error})") from error
    if values.ndim not in (2, 3):
        raise Misfit(f"holds an array of the shape {values.shape}: store (height, width, channels)")
    if not values.size or values.dtype.kind not in "biuf":
        raise Misfit(f"holds {values.dtype} {values.shape}: store real numbers, one pixel or more")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _open_float_png(data: FloatPNG) -> np.ndarray:
    stored = None if ends_early(data) else _open(data, cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint8 or stored.shape[2:] != (4,):
        raise CorruptImage("it is no PNG of four channels, which a float image is stored as")
    return cv2.cvtColor(stored, cv2.COLOR_BGRA2RGBA).view(np.float32)


def _open_tiff(data: bytes) -> np.ndarray:
    """All channels or pages, as stored; OpenCV gives the first of them, or wrong ones."""
    import tifffile  # Loads much that other images do without.

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]
            values, axes = series.asarray(), series.axes
    except Exception as error:  # A damaged file fails in any way; codecs that are absent, in one.
        if "imagecodecs" in str(error):
            raise Misfit(
                f"cannot be read ({error}): install that, or store the image without compression"
            ) from error
        raise CorruptImage(f"tifffile cannot read it ({error})") from error
    if sorted(axes) in (["X", "Y"], ["S", "X", "Y"]) or (axes[-2:] == "YX" and values.ndim == 3):
        others = [axis for axis in range(values.ndim) if axes[axis] not in "YX"]
        return values.transpose(axes.index("Y"), axes.index("X"), *others)
    raise Misfit(f"is a TIFF with the axes {axes}: store height, width and channels, or pages")


def _decode_bytes(data: bytes, channels: int, factor: int = 1) -> np.ndarray:
    if ends_early(data):
        raise CorruptImage("the file ends before the image does")
    if data.startswith(_TIFF_STARTS):
        # TIFF alone holds numbers of other types, of which OpenCV reads some wrongly.
        stored = _open(data, cv2.IMREAD_UNCHANGED)
        if stored is None:
            stored = _open_tiff(data)
        elif stored.ndim == 3 and stored.shape[2] in (3, 4):
            stored = stored[:, :, [2, 1, 0]]
        if stored.dtype not in (np.uint8, np.uint16):
            return _convert_channels(_to_bytes(stored, None), channels)
    pixels = _open(data, _FLAGS[channels, factor])
    if pixels is None:
        raise CorruptImage("OpenCV cannot decode it")
    pixels = pixels.reshape(*pixels.shape[:2], channels)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if channels == 3 else pixels


def _open(data: bytes, flag: int) -> np.ndarray | None:
    """OpenCV's pixels, BGR; None where it has none to give."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None


def _to_bytes(
    values: np.ndarray, value_range: Range | None
) -> UInt8[np.ndarray, "height width *channels"]:
    if value_range is not None:
        low, high = value_range
        if not np.isfinite(values).all():
            raise Misfit("holds numbers that are not finite: replace them")
        scaled = (values.astype(np.float64) - low) * (255 / (high - low))
        return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values * np.uint8(255)
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    if not np.issubdtype(values.dtype, np.floating):
        raise Misfit(
            f"holds {values.dtype} numbers, whose white level is unknown: store it with 8 or 16"
            " bits",
            ", or give the numbers that are black and white in config.data.range",
        )
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):
        raise Misfit(
            f"holds floats from {low:.4g} to {high:.4g}, and only those in [0, 1] are read: scale"
            " them to that range",
            ", or give the numbers that are black and white in config.data.range",
        )
    return np.rint(values * 255).astype(np.uint8)


def _convert_channels(
    pixels: UInt8[np.ndarray, "height width *stored"], channels: int
) -> UInt8[np.ndarray, "height width {channels}"]:
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    stored = pixels.shape[2]
    if stored == channels and channels != 3:
        return pixels
    if channels not in (1, 3) or stored not in (1, 3, 4):
        raise Misfit(f"has {stored} channels, not {channels}", " as config.data.channels says")
    if stored == 1:
        return np.repeat(pixels, 3, axis=2)
    pixels = np.ascontiguousarray(pixels[:, :, :3])
    return pixels if channels == 3 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
