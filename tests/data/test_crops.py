"""Crops of whole photographs: drawn as on the device, from the right place, the same anywhere."""

import contextlib
import io
import itertools

import cv2
import jax
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from ssljax.augment import ViewPolicy, augment_view, sample_crop_boxes
from ssljax.data import ArraySource, Crop, HostCrops, Loader, Parts, host_crops, open_source
from ssljax.data.boxes import Boxes
from ssljax.data.crops import random_numbers, sample_box
from ssljax.data.decode import CorruptImage
from ssljax.data.fields import Frame, Label
from ssljax.data.fields import Image as ImageField
from ssljax.data.headers import stored_size
from ssljax.errors import UserError

_CROP = Crop(16, (0.08, 1.0), (3 / 4, 4 / 3), "bilinear")
_FRAME = Frame(16, 3)


def _gradient(height, width):
    """An image whose red tells the row and whose green tells the column, in parts of 255."""
    rows = np.linspace(0, 255, height)[:, None] + np.zeros(width)
    columns = np.zeros(height)[:, None] + np.linspace(0, 255, width)
    return np.stack([rows, columns, np.zeros_like(rows)], axis=2).round().astype(np.uint8)


def _jpeg(pixels, **options):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95, subsampling=0, **options)
    return out.getvalue()


@pytest.mark.parametrize("shape", [(300, 400), (37, 160)])
def test_boxes_are_distributed_as_those_of_the_device(shape):
    count = 4000
    host = np.array(
        [sample_box(random_numbers(0, 0, place, 0), *shape, _CROP) for place in range(count)]
    )
    keys = jax.random.split(jax.random.key(0), count)
    device = np.asarray(sample_crop_boxes(keys, *shape, _CROP.scale, _CROP.ratio))
    assert (host[:, :2] >= 0).all()
    assert (host[:, 0] + host[:, 2] <= shape[0]).all()
    assert (host[:, 1] + host[:, 3] <= shape[1]).all()
    for column in range(4):
        assert stats.ks_2samp(host[:, column], device[:, column]).pvalue > 1e-3


def test_every_part_of_the_key_matters():
    start = (1, 2, 3, 4)
    draws = [random_numbers(*start)]
    for part in range(4):
        draws.append(random_numbers(*(x + (i == part) for i, x in enumerate(start))))
    assert len({tuple(x) for x in draws}) == 5
    np.testing.assert_array_equal(random_numbers(*start), draws[0])


def _philox(counter, key):
    """Philox4x64-10 of Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011."""
    c, (k0, k1), word = list(counter), key, 2**64
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(second // word) ^ c[1] ^ k0, second % word, (first // word) ^ c[3] ^ k1, first % word]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % word, (k1 + 0xBB67AE8584CAA73B) % word
    return c


def test_the_stream_is_that_of_philox():
    # Whoever changes it changes every run that goes on. The first block has the number 1.
    blocks = [_philox((block, 4, 3, 2), (1, int.from_bytes(b"crop", "big"))) for block in (1, 2)]
    expected = [(word >> 11) / 2**53 for block in blocks for word in block]
    np.testing.assert_array_equal(random_numbers(1, 2, 3, 4)[:8], expected)


@pytest.mark.parametrize("shape", [(60, 80), (700, 500), (1600, 1200)])
@pytest.mark.parametrize("encode", ["jpeg", "png", "array"])
def test_a_crop_shows_its_box(shape, encode):
    pixels = _gradient(*shape)
    stored = {
        "jpeg": lambda: _jpeg(pixels),
        "png": lambda: cv2.imencode(".png", pixels[..., ::-1])[1].tobytes(),
        "array": lambda: pixels,
    }[encode]()
    crops = HostCrops([_CROP, Crop(24, (0.3, 1.0), (1.0, 1.0), "bicubic")], seed=5)
    for place in range(8):
        views = crops.cut(stored, _FRAME, batch=7, place=place)
        for view, crop in enumerate(crops._crops):
            seen = views[f"crop{view}"].astype(np.float64)
            top, left, height, width = sample_box(random_numbers(5, 7, place, view), *shape, crop)
            steps = (np.arange(crop.size) + 0.5) / crop.size
            rows = (top + steps * height - 0.5) / (shape[0] - 1) * 255
            columns = (left + steps * width - 0.5) / (shape[1] - 1) * 255
            # A pixel of the most reduced photograph is a twelfth of the smallest crop.
            tolerance = 4 + 255 / min(shape) * max(1, min(height, width) / crop.size)
            inner = slice(2, -2)
            np.testing.assert_allclose(
                seen[inner, inner, 0].mean(axis=1), rows[inner], atol=tolerance
            )
            np.testing.assert_allclose(
                seen[inner, inner, 1].mean(axis=0), columns[inner], atol=tolerance
            )


def test_a_reduced_photograph_gives_nearly_the_same_crops(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    photograph = _jpeg(cv2.resize(noise, (1280, 960), interpolation=cv2.INTER_CUBIC))
    crops = HostCrops([_CROP], seed=0)
    reduced = [crops.cut(photograph, _FRAME, 0, place)["crop0"] for place in range(8)]
    monkeypatch.setattr(HostCrops, "_reduction", lambda self, boxes: 1)
    whole = [crops.cut(photograph, _FRAME, 0, place)["crop0"] for place in range(8)]
    difference = np.abs(np.array(reduced, float) - np.array(whole, float))
    assert 0 < difference.mean() < 3


def test_a_photograph_is_reduced_as_far_as_the_smallest_crop_allows():
    crops = HostCrops([Crop(100, (0.1, 1.0), (1.0, 1.0), "bilinear")] * 2, seed=0)
    assert crops._reduction([(0, 0, 800, 900), (0, 0, 1600, 1600)]) == 8
    assert crops._reduction([(0, 0, 799, 900), (0, 0, 1600, 1600)]) == 4
    assert crops._reduction([(0, 0, 800, 800), (0, 0, 199, 400)]) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("progressive", [False, True])
def test_the_size_is_read_from_the_header(orientation, progressive):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _jpeg(_gradient(37, 90), exif=exif, progressive=progressive)
    assert stored_size(data) == cv2.imdecode(np.frombuffer(data, np.uint8), 1).shape[:2]
    reduced = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_4)
    assert reduced.shape[:2] == tuple(-(-x // 4) for x in stored_size(data))


@pytest.mark.parametrize("kept", [0, 2, 4, 10, 200])
def test_a_header_that_is_cut_short_tells_nothing(kept):
    assert stored_size(_jpeg(_gradient(37, 90))[:kept]) in (None, (37, 90))


def test_a_damaged_photograph_is_corrupt():
    data = _jpeg(_gradient(300, 300))
    for kept in (len(data) // 2, 30, 3):
        with pytest.raises(CorruptImage):
            HostCrops([_CROP], 0).cut(data[:kept], _FRAME, 0, 0)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_are_cut_too(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, channels), np.uint8)
    view = HostCrops([_CROP], 0).cut(pixels, Frame(16, channels), 0, 0)["crop0"]
    assert view.shape == (16, 16, channels)


def _batches(start, count, **changes):
    images = np.random.default_rng(0).integers(0, 256, (20, 30, 40, 3), np.uint8)
    settings = dict(batch_size=6, seed=5, image_size=16, channels=3, batches_per_step=2, threads=2)
    crops = [_CROP, Crop(8, (0.05, 0.3), (3 / 4, 4 / 3), "bicubic")]
    loader = Loader(ArraySource(images, np.arange(20)), crops=crops, **(settings | changes))
    with contextlib.closing(loader.iterate(start)) as batches:
        return list(itertools.islice(batches, count))


def test_crops_stand_in_the_place_of_images():
    (batch,) = _batches(0, 1)
    shapes = {name: array.shape for name, array in batch.items()}
    assert shapes == {
        "index": (6, 2),
        "label": (6, 2),
        "crop0": (6, 2, 16, 16, 3),
        "crop1": (6, 2, 8, 8, 3),
    }


def test_crops_do_not_depend_on_the_start_the_threads_or_the_process():
    whole = _batches(0, 4)
    for name in whole[0]:
        np.testing.assert_array_equal(_batches(3, 1)[0][name], whole[3][name])
        np.testing.assert_array_equal(_batches(3, 1, threads=0)[0][name], whole[3][name])
        halves = [_batches(3, 1, rows=rows)[0][name] for rows in (slice(0, 3), slice(3, 6))]
        np.testing.assert_array_equal(np.concatenate(halves), whole[3][name])


def test_one_image_is_cut_otherwise_in_every_epoch():
    crops = [
        batch["crop0"][row, update].tobytes()
        for batch in _batches(0, 6)
        for row, update in np.argwhere(batch["label"] == 7)
    ]
    assert len(crops) >= 2
    assert len(set(crops)) == len(crops)


_FIELDS = {"image": ImageField(), "label": Label()}


def test_each_view_has_its_crop():
    large, small = ViewPolicy(32, crop_scale=(0.4, 1.0)), ViewPolicy(8, interpolation="bicubic")
    crops = host_crops([(large, 2), (small, 1)], _FIELDS, "dino")
    assert [crop.size for crop in crops] == [32, 32, 8]
    assert crops[0] == Crop(32, (0.4, 1.0), (3 / 4, 4 / 3), "bilinear")
    assert crops[2].interpolation == "bicubic"


@pytest.mark.parametrize("shape", [(64, 96), (96, 48), (32, 32)])
def test_a_view_without_random_crops_shows_the_centre_square_as_on_the_device(shape):
    pixels = _gradient(*shape)
    policy = ViewPolicy(16, crop_scale=None, flip_p=0.0)
    cutter = HostCrops(host_crops([(policy, 1)], _FIELDS, "bag_of_words"), 0)
    cut = cutter.cut(pixels, _FRAME, 0, 0)["crop0"]
    expected = augment_view(policy, jax.random.key(0), pixels[None])[0]
    inner = slice(1, -1)  # Beyond the edge either filter has a way of its own.
    np.testing.assert_allclose((cut / 255)[inner, inner], expected[inner, inner], atol=1.01 / 255)
    np.testing.assert_array_equal(cutter.cut(pixels, _FRAME, 1, 2)["crop0"], cut)


@pytest.mark.parametrize(
    ("policies", "fields", "told"),
    [
        ([], _FIELDS, "method dcgan makes its views otherwise"),
        ([(ViewPolicy(8, crop_scale=None, crop_padding=4), 2)], _FIELDS, "has crop_padding=4"),
        ([(ViewPolicy(8), 2)], {**_FIELDS, "boxes": Boxes(3)}, "these records have boxes"),
        ([(ViewPolicy(8), 2)], {}, "these records have no image"),
    ],
)
def test_what_cannot_be_cut_is_told(policies, fields, told):
    with pytest.raises(UserError, match=told):
        host_crops(policies, fields, "dcgan")


def test_a_folder_is_cut_from_its_files(tmp_path):
    for k in range(4):
        (tmp_path / f"{k}.jpg").write_bytes(_jpeg(_gradient(100 + 20 * k, 150)))
    source = open_source("folder", "train", tmp_path, parts=Parts())
    loader = Loader(source, batch_size=4, seed=0, image_size=16, channels=3, crops=[_CROP])
    with contextlib.closing(loader.iterate()) as batches:
        batch = next(batches)
    for row, index in enumerate(batch["index"][:, 0].tolist()):
        data = source.read(index)["image"]
        expected = HostCrops([_CROP], 0).cut(data, _FRAME, 0, row)["crop0"]
        np.testing.assert_array_equal(batch["crop0"][row, 0], expected)
