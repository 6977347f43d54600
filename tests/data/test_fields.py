"""Each kind of field decodes to its shape and type, and refuses what does not belong there."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from ssljax.data.boxes import Boxes
from ssljax.data.decode import Misfit
from ssljax.data.fields import (
    Clip,
    Frame,
    Image,
    Label,
    Mask,
    MultiLabel,
    decode_record,
    empty_batch,
)

_FRAME = Frame(size=8, channels=3)


def _png(values):
    return cv2.imencode(".png", values)[1].tobytes()


def _npy(values):
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def _tiff(values):
    return cv2.imencode(".tiff", values)[1].tobytes()


def _random(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


_FIELDS = {
    "image": (Image(), _random(8, 8, 3)),
    "label": (Label(), 3),
    "tags": (MultiLabel(4), [1, 3]),
    "mask": (Mask(), _random(8, 8)),
    "boxes": (Boxes(5), (np.array([[0.0, 0.0, 0.5, 0.5]]), np.array([2]))),
    "clip": (Clip(3), [*_random(3, 8, 8, 3)]),
}


def test_every_field_has_the_shape_and_type_it_promises():
    fields = {name: field for name, (field, _) in _FIELDS.items()}
    record = {name: raw for name, (_, raw) in _FIELDS.items()}
    decoded = decode_record(fields, record, _FRAME)
    batch = empty_batch(fields, _FRAME, 2)
    for name, field in fields.items():
        assert decoded[name].shape == field.shape(_FRAME) == batch[name].shape[1:]
        assert decoded[name].dtype == field.dtype == batch[name].dtype
    for name in ("label", "tags", "mask", "boxes"):
        assert (batch[name] == -1).all()


def test_a_label_that_is_absent_is_minus_one():
    assert Label().decode(None, _FRAME) == -1
    np.testing.assert_array_equal(MultiLabel(3).decode(None, _FRAME), [-1, -1, -1])


def test_several_classes_are_marked():
    np.testing.assert_array_equal(MultiLabel(4).decode([3, 1, 1], _FRAME), [0, 1, 0, 1])
    np.testing.assert_array_equal(MultiLabel(4).decode([], _FRAME), [0, 0, 0, 0])
    with pytest.raises(Misfit, match="class 4, and there are 4 classes"):
        MultiLabel(4).decode([4], _FRAME)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_holds_its_numbers_and_the_void_is_minus_one(dtype):
    values = np.arange(64, dtype=dtype).reshape(8, 8)
    values[0, 0] = 255
    expected = values.astype(np.int32)
    expected[0, 0] = -1
    np.testing.assert_array_equal(Mask().decode(_png(values), _FRAME, (8, 8)), expected)


@pytest.mark.parametrize("store", [_npy, _tiff])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_masks_may_be_arrays_and_tiffs(store, dtype):
    values = np.arange(64).reshape(8, 8).astype(dtype)
    decoded = Mask(void=63).decode(store(values), _FRAME, (8, 8))
    expected = np.where(values == 63, -1, values.astype(np.int32))
    np.testing.assert_array_equal(decoded, expected)
    with pytest.raises(Misfit, match="mask of 8x8 pixels, and the image has 8x9"):
        Mask().decode(store(values), _FRAME, (8, 9))


def test_a_negative_number_is_no_class():
    with pytest.raises(Misfit, match="mask with the number -3"):
        Mask().decode(_npy(np.full((8, 8), -3)), _FRAME, (8, 8))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("palette", [True, False])
def test_masks_in_png_keep_their_numbers_of_any_depth(bits, palette):
    numbers = (np.arange(64) % 2**bits).astype(np.uint8).reshape(8, 8)
    rows = (
        numbers
        if bits == 8
        else np.packbits(
            np.unpackbits(numbers[..., None], axis=2)[..., -bits:].reshape(8, -1), axis=1
        )
    )

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    kind = 3 if palette else 0
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, bits, kind, 0, 0, 0))
    if palette:  # Two colours are the same, and one is transparent.
        png += chunk(b"PLTE", bytes([0, 0, 0] * 2 + [10, 20, 30] * (2**bits - 2)))
        png += chunk(b"tRNS", b"\x00")
    raw = b"".join(b"\x00" + row.tobytes() for row in rows)
    png += chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    mask = Mask(void=254).decode(png, Frame(8, 1, "none"), None)
    assert np.array_equal(mask, numbers)


def test_a_palette_gives_its_numbers():
    values = _random(8, 8) % 21
    picture = Pillow.fromarray(values, "P")
    palette = np.random.default_rng(1).permutation(256 * 3)[: 21 * 3] % 256
    palette[:3] = 0
    picture.putpalette(palette.tolist())
    out = io.BytesIO()
    picture.save(out, "PNG")
    np.testing.assert_array_equal(Mask().decode(out.getvalue(), _FRAME, (8, 8)), values)


def test_a_mask_that_does_not_belong_to_its_image_is_told():
    with pytest.raises(Misfit, match="mask of 8x9 pixels, and the image has 8x8"):
        Mask().decode(_png(_random(8, 9)), _FRAME, (8, 8))
    values = np.full((8, 8), 21, np.uint8)
    with pytest.raises(Misfit, match="the void 255 the number 21, and there are 21 classes"):
        Mask(classes=21).decode(_png(values), _FRAME, (8, 8))
    with pytest.raises(Misfit, match="one whole number a pixel"):
        Mask().decode(_png(_random(8, 8, 3)), _FRAME, (8, 8))


def test_boxes_are_in_pixels_and_the_rest_is_minus_one():
    raw = np.array([[0.0, 0.0, 0.5, 0.5], [0.25, 0.5, 1.0, 1.0]]), np.array([7, 0])
    decoded = Boxes(3).decode(raw, _FRAME, (16, 16))
    np.testing.assert_array_equal(decoded, [[0, 0, 4, 4, 7], [2, 4, 8, 8, 0], [-1, -1, -1, -1, -1]])


def test_boxes_that_are_not_seen_are_dropped():
    raw = np.array([[0.0, 0.0, 1.0, 0.3], [0.0, 0.4, 1.0, 0.6]]), np.array([1, 2])
    decoded = Boxes(2).decode(raw, _FRAME, (10, 30))
    assert decoded[0, 4] == 2
    assert (decoded[1] == -1).all()


@pytest.mark.parametrize(
    ("box", "kind", "told"),
    [
        ((0.0, 0.0, 0.5, 0.5), 3, "has a box of the class 3, and there are 3 classes"),
        (
            (0.0, 0.0, 1.5, 0.5),
            0,
            r"the box \(0, 0, 12, 4\) of top, left, .* within its image of 8x8",
        ),
        ((0.5, 0.0, 0.2, 0.5), 0, "which is none within its image"),
        ((0.0, np.nan, 0.5, 0.5), 0, "which is none within its image"),
    ],
)
def test_boxes_that_cannot_be_are_told(box, kind, told):
    with pytest.raises(Misfit, match=told):
        Boxes(2, classes=3).decode((np.array([box]), np.array([kind])), _FRAME, (8, 8))


def test_a_box_that_rounding_takes_over_the_border_is_cut_off():
    raw = np.array([[-0.05, 0.0, 0.5, 1.1]]), np.array([2])
    rows, _, _ = Boxes(2, classes=3).rows(raw, (8, 8))
    np.testing.assert_allclose(rows, [[0, 0, 4, 8, 2]])


def test_no_boxes_are_no_mistake_and_too_many_are():
    assert (Boxes(2).decode((np.zeros((0, 4)), np.zeros(0)), _FRAME, (8, 8)) == -1).all()
    with pytest.raises(Misfit, match="3 boxes, more than 2"):
        Boxes(2).decode((np.zeros((3, 4)), np.zeros(3)), _FRAME, (8, 8))


def test_a_clip_is_its_frames():
    frames = [_png(_random(8, 8, 3)), _png(255 - _random(8, 8, 3))]
    clip = Clip(2).decode(frames, _FRAME)
    for frame, pixels in zip(frames, clip, strict=True):
        np.testing.assert_array_equal(pixels, Image().decode(frame, _FRAME))
    with pytest.raises(Misfit, match="2 frames, and a clip has 3"):
        Clip(3).decode(frames, _FRAME)
