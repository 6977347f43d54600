"""Batches do not depend on threads, processes, the first step, or who meets a bad image."""

import contextlib
import itertools
import logging

import cv2
import numpy as np
import pytest

from ssljax.data import ArraySource, Loader, Source, index_batches, load_all, open_source
from ssljax.errors import UserError

_SETTINGS = {"batch_size": 6, "seed": 5, "image_size": 4, "channels": 3, "threads": 2}


def _numbered(size):
    """Images whose label is their place."""
    images = np.random.default_rng(0).integers(0, 256, (size, 4, 4, 3), np.uint8)
    return ArraySource(images, np.arange(size))


def _take(loader, start, count):
    with contextlib.closing(loader.iterate(start)) as batches:
        return list(itertools.islice(batches, count))


def _assert_same(got, want):
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


class _Faulty(Source):
    """PNGs of one colour that tells their place; some of them are cut short."""

    name, split, num_classes, class_names = "faulty", "train", 20, ()

    def __init__(self, size, bad):
        self._size, self._bad = size, frozenset(bad)

    def __len__(self):
        return self._size

    def read(self, index):
        data = cv2.imencode(".png", np.full((4, 4, 3), index, np.uint8))[1].tobytes()
        return {"image": data[:-9] if index in self._bad else data, "label": index}

    def describe(self, index):
        return f"image-{index}"


def test_batches_are_uint8_images_and_int32_labels():
    source = _numbered(20)
    (batch,) = _take(Loader(source, batches_per_step=2, **_SETTINGS), 0, 1)
    assert (batch["image"].shape, batch["image"].dtype) == ((6, 2, 4, 4, 3), np.uint8)
    assert (batch["label"].shape, batch["label"].dtype) == ((6, 2), np.int32)
    for row, update in np.ndindex(6, 2):
        expected = source.read(int(batch["label"][row, update]))["image"]
        np.testing.assert_array_equal(batch["image"][row, update], expected)


def test_no_labels_no_key():
    source = ArraySource(np.zeros((6, 4, 4, 3), np.uint8))
    assert _take(Loader(source, **_SETTINGS), 0, 1)[0].keys() == {"image", "index"}


@pytest.mark.parametrize("updates", [1, 3])
def test_starting_at_a_step_equals_iterating_to_it(updates):
    loader = Loader(_numbered(20), batches_per_step=updates, **_SETTINGS)
    _assert_same(_take(loader, 4, 5), _take(loader, 0, 9)[4:])


@pytest.mark.parametrize(("threads", "prefetch"), [(0, 0), (0, 2), (1, 1), (5, 0), (5, 4)])
def test_threads_do_not_change_the_batches(threads, prefetch):
    settings = _SETTINGS | {"batch_size": 70}
    want = _take(Loader(_numbered(200), **settings), 0, 6)
    settings |= {"threads": threads, "prefetch": prefetch}
    _assert_same(_take(Loader(_numbered(200), **settings), 0, 6), want)


def test_rows_of_two_processes_make_up_the_batch():
    settings = _SETTINGS | {"batch_size": 80, "batches_per_step": 2}
    whole = _take(Loader(_numbered(200), **settings), 3, 3)
    halves = [
        _take(Loader(_numbered(200), rows=rows, **settings), 3, 3)
        for rows in (slice(0, 40), slice(40, 80))
    ]
    for batch, *parts in zip(whole, *halves, strict=True):
        for key in batch:
            np.testing.assert_array_equal(np.concatenate([p[key] for p in parts]), batch[key])


def test_an_epoch_shows_each_image_once():
    labels = [b["label"] for b in _take(Loader(_numbered(18), **_SETTINGS), 0, 3)]
    assert sorted(np.concatenate(labels).ravel().tolist()) == list(range(18))


def test_the_cached_set_gives_the_images_of_the_stream(digits_dir):
    source = open_source("digits", "test", digits_dir)
    arrays = load_all(source, image_size=8, channels=1)
    order = {"batch_size": 50, "seed": 9, "batches_per_step": 2, "rows": slice(20, 45)}
    loader = Loader(source, image_size=8, channels=1, threads=2, **order)
    streamed = _take(loader, 6, 4)
    indices = itertools.islice(index_batches(len(source), start_step=6, **order), 4)
    _assert_same(streamed, [{k: v[i] for k, v in arrays.items()} | {"index": i} for i in indices])


def test_load_all_keeps_the_order_of_the_source():
    source = _numbered(100)
    arrays = load_all(source, image_size=4, channels=3, threads=3)
    np.testing.assert_array_equal(arrays["label"], np.arange(100))
    assert arrays["label"].dtype == np.int32
    for i in (0, 31, 32, 99):
        np.testing.assert_array_equal(arrays["image"][i], source.read(i)["image"])
    limited = load_all(source, image_size=4, channels=3, limit=40)
    np.testing.assert_array_equal(limited["label"], np.arange(40))


def test_corrupt_images_give_way_to_the_next_sound_one(caplog):
    # The last two are bad, so their place is taken by the first of all that is sound.
    bad = {4, 5, 18, 19}
    loader = Loader(_Faulty(20, bad), max_corrupt=4, **(_SETTINGS | {"batch_size": 20}))
    with caplog.at_level(logging.WARNING, logger="ssljax"):
        batches = _take(loader, 0, 3)
    (order, *_) = next(index_batches(20, batch_size=20, seed=5)).T
    expected = np.array([{4: 6, 5: 6, 18: 0, 19: 0}.get(i, i) for i in order.tolist()])
    np.testing.assert_array_equal(batches[0]["label"][:, 0], expected)
    np.testing.assert_array_equal(batches[0]["image"][:, 0, 0, 0, 0], expected)
    assert sorted(loader.corrupt) == ["image-18", "image-19", "image-4", "image-5"]
    messages = [r.getMessage() for r in caplog.records]
    assert len(messages) == 4
    assert any("image-18 is corrupt" in message for message in messages)


def test_replacements_do_not_depend_on_threads_or_history():
    settings = _SETTINGS | {"max_corrupt": 9}
    source = _Faulty(20, {0, 1, 2, 7, 8, 13})
    want = _take(Loader(source, **settings), 0, 8)
    _assert_same(_take(Loader(source, **(settings | {"threads": 0})), 5, 3), want[5:])


@pytest.mark.parametrize("threads", [0, 3])
def test_too_many_corrupt_images_end_the_stream(threads):
    settings = _SETTINGS | {"max_corrupt": 3, "threads": threads}
    batches = Loader(_Faulty(30, range(0, 30, 2)), **settings).iterate(0)
    with pytest.raises(UserError, match=r"4 corrupt images.*allows 3 \(.*image-\d+.*repair"):
        list(itertools.islice(batches, 5))


def test_only_corrupt_images_end_the_stream():
    batches = Loader(_Faulty(6, range(6)), **(_SETTINGS | {"max_corrupt": 6})).iterate(0)
    with pytest.raises(UserError, match="no image that can be decoded"):
        next(batches)


def test_at_most_ten_corrupt_images_are_named():
    with pytest.raises(UserError, match=r"13 corrupt images.*and 3 more\)") as caught:
        load_all(_Faulty(40, range(40)), image_size=4, channels=3, max_corrupt=12, threads=1)
    assert str(caught.value).count("image-") == 10


def test_alpha_is_told_once(caplog):
    source = ArraySource(np.zeros((40, 4, 4, 4), np.uint8))
    with caplog.at_level(logging.INFO, logger="ssljax"):
        load_all(source, image_size=4, channels=3, threads=1)
        load_all(_numbered(40), image_size=4, channels=3, threads=1)
    assert [r.getMessage()[:35] for r in caplog.records] == ["array/train #0 has an alpha channel"]


def test_floats_of_another_scale_are_told_by_name():
    tiff = cv2.imencode(".tiff", np.full((4, 4), 7.5, np.float32))[1].tobytes()
    source = _Faulty(3, ())
    source.read = lambda index: {"image": tiff, "label": 0}
    with pytest.raises(UserError, match=r"image-\d holds floats from 7\.5 to 7\.5, and only those"):
        load_all(source, image_size=4, channels=3)


def test_load_all_leaves_corrupt_images_out():
    source = _Faulty(40, {3, 39})
    arrays = load_all(source, image_size=4, channels=3, max_corrupt=2)
    kept = np.array([i for i in range(40) if i not in (3, 39)])
    np.testing.assert_array_equal(arrays["label"], kept)
    np.testing.assert_array_equal(arrays["image"][:, 0, 0, 0], kept)
    with pytest.raises(UserError, match=r"image-3"):
        load_all(source, image_size=4, channels=3)


def test_a_truncated_jpeg_in_a_folder_is_named(jpegs):
    broken = jpegs / "cat" / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:-40])
    source = open_source("folder", "train", jpegs)
    with pytest.raises(UserError, match=r"cat/1\.jpg"):
        load_all(source, image_size=8, channels=3)
    assert len(load_all(source, image_size=8, channels=3, max_corrupt=1)["image"]) == 5


def test_a_wrong_size_is_told():
    source = ArraySource(np.zeros((6, 4, 5, 3), np.uint8))
    message = r"array/train #\d is 4x5 pixels, not 4x4: set config\.data\.resize"
    with pytest.raises(UserError, match=message):
        next(Loader(source, resize="none", **_SETTINGS).iterate(0))
    with pytest.raises(UserError, match=message):
        load_all(source, image_size=4, channels=3, resize="none")


def test_a_set_smaller_than_a_batch_is_told():
    with pytest.raises(UserError, match="fewer than one batch"):
        Loader(_numbered(5), **_SETTINGS)


def test_rows_outside_the_batch_are_refused():
    with pytest.raises(ValueError, match="none of the 6 rows"):
        Loader(_numbered(20), rows=slice(6, 12), **_SETTINGS)
