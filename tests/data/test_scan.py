"""A pass over a source: every image once and in order, and none that stays."""

import gc
import weakref

import cv2
import numpy as np
import pytest

from ssljax import data
from ssljax.errors import UserError

SHAPE = (4, 4, 1)


def pixels(count):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def scan(images, labels=None, **options):
    source = data.ArraySource(images, labels) if isinstance(images, np.ndarray) else images
    return data.Scan(source, **{"batch_size": 8, "image_size": 4, "channels": 1} | options)


class Encoded(data.Source):
    """PNG files of which some are damaged; counts what is read."""

    name, split, num_classes, class_names = "files", "train", 3, ("a", "b", "c")

    def __init__(self, images, damaged=()):
        self.images, self.damaged, self.reads = images, damaged, []

    def __len__(self):
        return len(self.images)

    def read(self, index):
        self.reads.append(index)
        file = cv2.imencode(".png", self.images[index])[1].tobytes()
        return {
            "image": file[:20] if index in self.damaged else file,
            "label": index % 3,
        }

    def describe(self, index):
        return f"file {index}"


@pytest.mark.parametrize("count", [1, 8, 45])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_pass_gives_every_image_once_and_in_order_and_pads_the_last_batch(count, threads):
    images = pixels(count)
    labels = np.arange(count, dtype=np.int32) % 4
    reader = scan(images, labels, threads=threads)
    for _ in range(2):
        batches = list(reader)
        assert all(batch["image"].shape == (8, *SHAPE) for batch in batches)
        index = np.concatenate([batch["index"] for batch in batches])
        assert index.tolist() == [*range(count), *[-1] * (-count % 8)]
        for key, wanted in (("image", images), ("label", labels)):
            found = np.concatenate([batch[key] for batch in batches])[:count]
            assert np.array_equal(found, wanted)
    assert len(reader) == count


def test_processes_read_their_own_rows_of_every_batch():
    source = Encoded(pixels(20))
    here = list(scan(source, rows=slice(6, 8)))
    assert [batch["index"].tolist() for batch in here] == [[6, 7], [14, 15], [-1, -1]]
    assert sorted(source.reads) == [6, 7, 14, 15]


def test_an_order_picks_images():
    order = np.array([9, 2, 2, 30])
    (batch,) = scan(pixels(31), order=order)
    assert batch["index"].tolist() == [9, 2, 2, 30, -1, -1, -1, -1]
    assert np.array_equal(batch["image"][:4], pixels(31)[order])
    assert batch["label"].tolist() == [-1] * 8


def test_a_corrupt_image_is_a_row_that_is_not_there_and_is_told_once(caplog):
    reader = scan(Encoded(pixels(10), damaged=(3,)), max_corrupt=1)
    for _ in range(2):
        first = next(iter(reader))
        assert first["index"].tolist() == [0, 1, 2, -1, 4, 5, 6, 7]
        assert first["label"].tolist() == [0, 1, 2, -1, 1, 2, 0, 1]
    assert len([line for line in caplog.messages if "file 3 is corrupt" in line]) == 1
    with pytest.raises(UserError, match="2 corrupt images"):
        list(scan(Encoded(pixels(10), damaged=(3, 9)), max_corrupt=1))


def test_batches_that_were_handed_over_do_not_stay():
    seen = []
    for batch in scan(pixels(160)):
        seen.append(weakref.ref(batch["image"]))
        del batch
        gc.collect()
        # The reader holds the batch that it handed over until it is asked for the next.
        assert sum(image() is not None for image in seen) <= 1
    assert len(seen) == 20


def test_kept_batches_are_decoded_once_and_only_when_a_pass_was_whole():
    source = Encoded(pixels(20))
    reader = scan(source, keep=True)
    next(iter(reader))
    wanted = [batch["image"].copy() for batch in reader]
    source.reads.clear()
    again = [batch["image"] for batch in reader]
    assert not source.reads
    assert all(np.array_equal(a, b) for a, b in zip(again, wanted, strict=True))
