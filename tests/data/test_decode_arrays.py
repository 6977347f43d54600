"""Arrays of any number of channels and any type, as NPY, TIFF and PNG of 16 bits hold them."""

import io

import cv2
import numpy as np
import pytest
import tifffile

from ssljax.data import CorruptImage, decode
from ssljax.data.decode import Misfit


def _pixels(height, width, channels):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize(("stored", "channels"), [(2, 3), (2, 1), (5, 3), (3, 4), (1, 2), (4, 5)])
def test_other_channels_are_refused(stored, channels):
    with pytest.raises(Misfit, match=f"has {stored} channels, not {channels}"):
        decode(_pixels(8, 8, stored), channels=channels, image_size=8)


def _npy(values):
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def _tifffile(values, **options):
    out = io.BytesIO()
    tifffile.imwrite(out, values, photometric="minisblack", **options)
    return out.getvalue()


def _planes(values):
    """Channels as planes or as pages of a TIFF."""
    return np.ascontiguousarray(np.moveaxis(values, 2, 0))


_STORES = {
    "npy": _npy,
    "contiguous": lambda values: _tifffile(values, planarconfig="contig"),
    "planes": lambda values: _tifffile(_planes(values), planarconfig="separate"),
    "pages": lambda values: _tifffile(_planes(values)),
    "zlib": lambda values: _tifffile(values, planarconfig="contig", compression="zlib"),
}


@pytest.mark.parametrize("store", _STORES)
@pytest.mark.parametrize("channels", [2, 4, 7])
def test_any_number_of_channels_is_read_as_it_is_stored(store, channels):
    pixels = _pixels(8, 9, channels)
    read = decode(_STORES[store](pixels), channels=channels, image_size=8)
    np.testing.assert_array_equal(read, pixels[:, :8])
    wide = pixels.astype(np.uint16) * 256 + 77
    read = decode(_STORES[store](wide), channels=channels, image_size=8)
    np.testing.assert_array_equal(read, pixels[:, :8])


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("store", [_npy, _tifffile])
def test_a_range_says_which_numbers_are_black_and_white(dtype, store):
    values = np.linspace(-200, 1400, 64).reshape(8, 8)
    if dtype is np.uint16:
        values += 200
    values = values.astype(dtype)
    read = decode(store(values), channels=1, image_size=8, value_range=(100, 1000))
    expected = np.rint(np.clip((values.astype(np.float64) - 100) / 900, 0, 1) * 255)
    np.testing.assert_array_equal(read[..., 0], expected)


def test_a_range_holds_for_a_png_of_16_bits():
    colors = np.arange(8 * 8 * 3, dtype=np.uint16).reshape(8, 8, 3)
    png = cv2.imencode(".png", colors[:, :, ::-1])[1].tobytes()
    read = decode(png, channels=3, image_size=8, value_range=(0, 191))
    np.testing.assert_array_equal(read, np.rint(colors * (255 / 191)))


def test_numbers_that_are_not_finite_have_no_place_in_a_range():
    with pytest.raises(Misfit, match="not finite"):
        decode(_npy(np.full((8, 8), np.inf)), channels=1, image_size=8, value_range=(0, 1))


def test_many_channels_are_resized_alike():
    pixels = _pixels(24, 24, 7)
    for size in (8, 40):
        whole = decode(pixels, channels=7, image_size=size)
        each = [decode(pixels[..., k], channels=1, image_size=size) for k in range(7)]
        np.testing.assert_array_equal(whole, np.concatenate(each, axis=2))


def test_an_array_of_objects_is_never_loaded():
    data = io.BytesIO()
    np.save(data, np.array([{}, None]), allow_pickle=True)
    with pytest.raises(CorruptImage, match="without pickle"):
        decode(data.getvalue(), channels=1, image_size=8)


@pytest.mark.parametrize("store", ["npy", "contiguous", "planes", "zlib"])
def test_scientists_files_that_are_cut_short_are_corrupt(store):
    data = _STORES[store](_pixels(16, 16, 4))
    for kept in (len(data) // 2, 9):
        with pytest.raises(CorruptImage):
            decode(data[:kept], channels=4, image_size=8)


def test_an_array_of_no_image_is_told():
    with pytest.raises(Misfit, match=r"shape \(3,\)"):
        decode(_npy(np.zeros(3, np.uint8)), channels=1, image_size=8)
    with pytest.raises(Misfit, match="axes"):
        decode(_tifffile(np.zeros((2, 5, 8, 8), np.uint8)), channels=5, image_size=8)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((0, 5), np.uint8),
        np.full((4, 4), "dark"),
        np.zeros((4, 4), [("red", np.uint8)]),
        np.full((4, 4), 1j),
    ],
)
def test_an_array_that_is_no_image_is_refused(values):
    with pytest.raises(Misfit, match="store real numbers, one pixel or more"):
        decode(_npy(values), channels=1, image_size=4, value_range=(0, 1))


def test_a_damaged_array_is_corrupt_whatever_its_header_says():
    whole = _npy(np.arange(64, dtype=np.uint8).reshape(8, 8))
    outcomes = set()
    for place in range(8, 128):
        for byte in (0x00, 0x28, 0x39, 0x7B, 0xFF):
            damaged = whole[:place] + bytes([byte]) + whole[place + 1 :]
            try:
                decode(damaged, channels=1, image_size=8)
                outcomes.add("read")
            except (CorruptImage, Misfit) as error:
                outcomes.add(type(error).__name__)
    assert "CorruptImage" in outcomes


def test_the_order_of_bytes_does_not_matter():
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    found = [decode(_npy(values.astype(t)), channels=1, image_size=8) for t in ("<u2", ">u2")]
    np.testing.assert_array_equal(*found)


def test_signed_numbers_are_refused_in_every_kind_of_file():
    values = np.array([[-1000, 0], [1000, 3000]], np.int16)
    for stored in (_npy(values), _tifffile(values)):
        with pytest.raises(Misfit, match="int16"):
            decode(stored, channels=1, image_size=2)
