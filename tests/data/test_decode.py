"""Decoding against Pillow, float64 resizing, and files that are cut short."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from ssljax.data import CorruptImage, decode
from ssljax.data.decode import FloatPNG, Misfit, has_alpha


def _pixels(height, width, channels=3, seed=0):
    """Smooth random colours, so that JPEG keeps them."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2).reshape(height, width, channels)


def _encode(pixels, kind, **options):
    out = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(out, kind, **options)
    return out.getvalue()


def _luma(rgb):
    return rgb.astype(np.float64) @ [0.299, 0.587, 0.114]


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})]
)
def test_lossless_files_give_their_rgb_pixels(kind, options):
    pixels = _pixels(12, 12)
    data = _encode(pixels, kind, **options)
    np.testing.assert_array_equal(decode(data, channels=3, image_size=12), pixels)


def test_jpeg_agrees_with_pillow():
    data = _encode(_pixels(32, 32), "JPEG", quality=90, subsampling=0)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data, channels=3, image_size=32) - expected).max() <= 2


@pytest.mark.parametrize("encoded", [True, False])
def test_channels_are_converted(encoded):
    colour, grey = _pixels(8, 8), _pixels(8, 8, 1)
    as_given = (lambda x: _encode(x, "PNG")) if encoded else (lambda x: x)
    to_grey = decode(as_given(colour), channels=1, image_size=8)
    assert to_grey.shape == (8, 8, 1)
    assert np.abs(to_grey[..., 0] - _luma(colour)).max() <= 1
    np.testing.assert_array_equal(
        decode(as_given(grey), channels=3, image_size=8), np.repeat(grey, 3, axis=2)
    )
    np.testing.assert_array_equal(decode(as_given(grey), channels=1, image_size=8), grey)


def test_grey_array_may_lack_the_channel_axis():
    grey = _pixels(8, 8, 1)
    np.testing.assert_array_equal(decode(grey[:, :, 0], channels=1, image_size=8), grey)


@pytest.mark.parametrize("encoded", [True, False])
def test_alpha_is_dropped(encoded):
    pixels = _pixels(8, 8, 4)
    image = _encode(pixels, "PNG") if encoded else pixels
    np.testing.assert_array_equal(decode(image, channels=3, image_size=8), pixels[..., :3])


def test_sixteen_bits_become_their_upper_eight():
    high = np.arange(256, dtype=np.uint16).reshape(16, 16)
    data = cv2.imencode(".png", high * 256 + 200)[1].tobytes()
    np.testing.assert_array_equal(decode(data, channels=1, image_size=16)[..., 0], high)


# Where the first row and the first column of the stored pixels lie in the scene (EXIF 2.32, 4.6.4):
# what a viewer does with them.
_VIEWED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],
    7: lambda x: x.swapaxes(0, 1)[::-1, ::-1],
    8: lambda x: x.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
    ],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_seen_the_right_way_up(kind, options, orientation, channels):
    pixels = _pixels(16, 16)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = decode(_encode(pixels, kind, **options), channels=channels, image_size=16)
    seen = decode(_encode(pixels, kind, exif=exif, **options), channels=channels, image_size=16)
    np.testing.assert_array_equal(seen, _VIEWED[orientation](stored))
    if kind == "JPEG" and channels == 3:  # Numbers that are stored are turned as well.
        data = _encode(pixels, kind, exif=exif, **options)
        scaled = decode(data, channels=3, image_size=16, value_range=(0, 255))
        np.testing.assert_array_equal(scaled, seen)


def test_of_an_animation_the_first_picture_is_taken():
    frames = [Image.fromarray(np.full((8, 8, 3), grey, np.uint8)) for grey in (10, 100, 200)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert (decode(out.getvalue(), channels=3, image_size=8) == 10).all()
    with pytest.raises(CorruptImage):
        decode(out.getvalue()[:-20], channels=3, image_size=8)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_tiff_gives_its_pixels(compression):
    pixels = _pixels(12, 12)
    data = _encode(pixels, "TIFF", compression=compression)
    np.testing.assert_array_equal(decode(data, channels=3, image_size=12), pixels)
    with pytest.raises(CorruptImage):
        decode(data[: len(data) // 2], channels=3, image_size=12)


def _ramp(high):
    return np.linspace(0, high, 64, dtype=np.float32).reshape(8, 8)


def _tiff(values):
    return cv2.imencode(".tiff", values)[1].tobytes()


def _float_png(values):
    """What TFDS makes of float32: its four bytes, lowest first, are R, G, B and A of a PNG."""
    rgba = np.ascontiguousarray(values, "<f4")[:, :, None].view(np.uint8)
    return FloatPNG(_encode(rgba, "PNG"))


@pytest.mark.parametrize("encode", [_tiff, _float_png])
def test_floats_from_0_to_1_become_bytes(encode):
    expected = np.rint(_ramp(1.0).astype(np.float64) * 255)
    np.testing.assert_array_equal(
        decode(encode(_ramp(1.0)), channels=1, image_size=8)[..., 0], expected
    )
    colour = decode(encode(_ramp(1.0)), channels=3, image_size=8)
    np.testing.assert_array_equal(colour, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("encode", [_tiff, _float_png])
@pytest.mark.parametrize("values", [_ramp(1.01), -_ramp(0.1), np.full((8, 8), np.nan, np.float32)])
def test_floats_of_another_scale_are_refused(encode, values):
    with pytest.raises(Misfit, match=r"floats from .* only those in \[0, 1\]"):
        decode(encode(values), channels=1, image_size=8)


def test_integers_without_a_white_are_refused():
    with pytest.raises(Misfit, match="int32"):
        decode(_tiff(np.ones((8, 8), np.int32)), channels=1, image_size=8)


@pytest.mark.parametrize("data", [_encode(_pixels(8, 8), "PNG"), b"", b"\x89PNG\r\n\x1a\n"])
def test_a_float_image_that_is_none_is_corrupt(data):
    with pytest.raises(CorruptImage):
        decode(FloatPNG(data), channels=1, image_size=8)


def test_alpha_is_recognised():
    assert has_alpha(_encode(_pixels(8, 8, 4), "PNG"))
    assert has_alpha(_pixels(8, 8, 4))
    grey = Image.fromarray(_pixels(8, 8)).convert("LA")
    out = io.BytesIO()
    grey.save(out, "PNG")
    assert has_alpha(out.getvalue())
    for image in (_pixels(8, 8), _encode(_pixels(8, 8), "PNG"), b"\x89PNG\r\n\x1a\n", b""):
        assert not has_alpha(image)
    assert not has_alpha(_float_png(_ramp(1.0)))


def test_shrinking_averages_areas():
    pixels = _pixels(24, 24)
    expected = pixels.astype(np.float64).reshape(8, 3, 8, 3, 3).mean(axis=(1, 3))
    assert np.abs(decode(pixels, channels=3, image_size=8) - expected).max() <= 0.5 + 1e-9


def _bilinear_matrix(size_in, size_out):
    """Row i weighs the inputs for output i, with half-pixel centres and clamped edges."""
    at = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
    low = np.minimum(np.floor(at).astype(int), size_in - 2)
    matrix = np.zeros((size_out, size_in))
    matrix[np.arange(size_out), low] = 1 - (at - low)
    matrix[np.arange(size_out), low + 1] = at - low
    return matrix


def test_enlarging_is_bilinear():
    pixels = _pixels(6, 6)
    matrix = _bilinear_matrix(6, 10)
    expected = np.einsum("yh,xw,hwc->yxc", matrix, matrix, pixels.astype(np.float64))
    assert np.abs(decode(pixels, channels=3, image_size=10) - expected).max() <= 1


def test_exact_shrinks_one_side_and_enlarges_the_other():
    pixels = _pixels(16, 4)
    shrunk = pixels.astype(np.float64).reshape(8, 2, 4, 3).mean(axis=1)
    expected = np.einsum("xw,hwc->hxc", _bilinear_matrix(4, 8), shrunk)
    result = decode(pixels, channels=3, image_size=8, resize="exact")
    assert np.abs(result - expected).max() <= 1.5


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (9, 8)])
def test_short_side_cuts_the_centre_square(shape):
    pixels = _pixels(*shape)
    top, left = (shape[0] - 8) // 2, (shape[1] - 8) // 2
    expected = pixels[top : top + 8, left : left + 8]
    np.testing.assert_array_equal(decode(pixels, channels=3, image_size=8), expected)


def test_none_wants_the_size_to_fit():
    pixels = _pixels(8, 9)
    with pytest.raises(ValueError, match="8x9 pixels, not 8x8"):
        decode(pixels, channels=3, image_size=8, resize="none")
    square = pixels[:, :8]
    np.testing.assert_array_equal(decode(square, channels=3, image_size=8, resize="none"), square)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_that_is_cut_short_is_corrupt(kind, channels):
    data = _encode(_pixels(48, 48), kind)
    for kept in (len(data) - 1, len(data) - 2, len(data) - 30, len(data) // 2, 20, 3, 0):
        with pytest.raises(CorruptImage):
            decode(data[:kept], channels=channels, image_size=48)


def test_a_progressive_jpeg_that_is_cut_between_scans_is_corrupt():
    data = _encode(_pixels(64, 64), "JPEG", progressive=True)
    last_scan = data.rfind(b"\xff\xda")
    with pytest.raises(CorruptImage):
        decode(data[:last_scan], channels=3, image_size=64)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image():
    data = _encode(_pixels(48, 48), "JPEG")
    thumbnail = _encode(_pixels(8, 8), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with_thumbnail = data[:2] + segment + data[2:]
    np.testing.assert_array_equal(
        decode(with_thumbnail, channels=3, image_size=48), decode(data, channels=3, image_size=48)
    )
    with pytest.raises(CorruptImage):
        decode(with_thumbnail[: -len(data) // 2], channels=3, image_size=48)


def test_bytes_after_the_end_do_no_harm():
    data = _encode(_pixels(16, 16), "JPEG")
    np.testing.assert_array_equal(
        decode(data + b"trailer" * 20, channels=3, image_size=16),
        decode(data, channels=3, image_size=16),
    )


@pytest.mark.parametrize("data", [b"", b"not an image", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xda"])
def test_garbage_is_corrupt(data):
    with pytest.raises(CorruptImage):
        decode(data, channels=3, image_size=8)


def test_impossible_arguments_are_refused():
    pixels = _pixels(8, 8)
    with pytest.raises(ValueError, match="channels must be at least 1"):
        decode(pixels, channels=0, image_size=8)


def test_alpha_does_not_change_the_other_channels_of_a_tiff():
    pixels = _pixels(8, 8, 4)
    read = decode(_encode(pixels, "TIFF"), channels=4, image_size=8)
    np.testing.assert_array_equal(read, pixels)
