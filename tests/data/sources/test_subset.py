"""Few labels: what is read, what is hidden, and that labels need no image."""

import numpy as np
import pytest

from ssljax.data import (
    ArraySource,
    FewLabels,
    FolderSource,
    Loader,
    Source,
    Subset,
    labelled_rows,
    load_all,
    open_source,
    read_labels,
)
from ssljax.errors import UserError

LABELS = np.arange(600) % 3


class Watched(ArraySource):
    """Images whose pixels are their own number, and which remember the numbers that were read."""

    def __init__(self):
        numbers = np.arange(600)
        pixels = np.stack([numbers // 256, numbers % 256, 0 * numbers], axis=-1)
        super().__init__(pixels.astype(np.uint8).reshape(600, 1, 1, 3), LABELS)
        self.seen = set()

    def read(self, index):
        self.seen.add(index)
        return super().read(index)


def numbers(images):
    pixels = images.reshape(-1, 3).astype(int)
    return pixels[:, 0] * 256 + pixels[:, 1]


def test_a_subset_reads_only_its_own_records():
    whole, chosen = Watched(), np.array([599, 7, 300, 8])
    source = Subset(whole, chosen)
    assert isinstance(source, Source)
    assert (len(source), source.num_classes, source.name) == (4, 3, "array")
    loader = Loader(source, batch_size=2, seed=0, image_size=1, channels=3, resize="none")
    batches = loader.iterate(3)
    seen = np.concatenate([numbers(next(batches)["image"]) for _ in range(6)])
    batches.close()
    assert set(seen) == whole.seen == {7, 8, 300, 599}
    arrays = load_all(source, image_size=1, channels=3, resize="none")
    assert numbers(arrays["image"]).tolist() == [7, 8, 300, 599]
    assert arrays["label"].tolist() == LABELS[[7, 8, 300, 599]].tolist()
    assert [source.read(i)["label"] for i in range(4)] == source.read_labels(range(4))
    assert source.describe(3) == "array/train #599"


def test_hidden_labels_are_minus_one_and_their_images_remain():
    source = FewLabels(Watched(), np.array([5, 2]))
    assert isinstance(source, Source)
    arrays = load_all(source, image_size=1, channels=3, resize="none")
    assert numbers(arrays["image"]).tolist() == list(range(600))
    wanted = np.full(600, -1)
    wanted[[2, 5]] = 2
    assert arrays["label"].tolist() == wanted.tolist()
    assert (len(source), source.read(2)["label"], source.read(3)["label"]) == (600, 2, None)
    assert source.describe(3) == "array/train #3"


@pytest.mark.parametrize("threads", [1, None])
def test_all_labels_are_read_in_order(threads):
    assert read_labels(Watched(), threads).tolist() == LABELS.tolist()
    unlabelled = ArraySource(np.zeros((3, 4, 4), np.uint8))
    assert read_labels(unlabelled).tolist() == [-1, -1, -1]


def test_labels_of_folders_are_known_from_the_paths(jpegs):
    source = FolderSource(jpegs)
    labels = [source.read(i)["label"] for i in range(6)]
    for file in jpegs.glob("*/*.jpg"):
        file.unlink()
    assert read_labels(source).tolist() == labels


def test_labels_of_a_prepared_set(digits_dir):
    source = open_source("digits", "test", digits_dir)
    arrays = load_all(source, image_size=8, channels=1)
    np.testing.assert_array_equal(read_labels(source), arrays["label"])


def test_a_draw_has_so_many_of_each_class_and_depends_on_the_seed_alone():
    labels = np.random.default_rng(0).integers(4, size=400)
    rows = labelled_rows(labels, 4, 5, seed=1, key="labels")
    assert np.bincount(labels[rows]).tolist() == [5, 5, 5, 5]
    assert len(set(rows.tolist())) == 20
    assert np.array_equal(rows, labelled_rows(labels, 4, 5, seed=1, key="labels"))
    assert not np.array_equal(rows, labelled_rows(labels, 4, 5, seed=2, key="labels"))


def test_a_fraction_is_taken_of_each_class():
    labels = np.repeat([0, 1, 2, 3], [100, 200, 300, 5])
    rows = labelled_rows(labels, 4, 0.1, seed=0, key="labels")
    assert np.bincount(labels[rows]).tolist() == [10, 20, 30, 1]


def test_a_smaller_draw_is_part_of_a_larger_one_of_the_same_seed():
    labels = np.random.default_rng(0).integers(3, size=300)
    few, more = (set(labelled_rows(labels, 3, n, seed=4, key="labels")) for n in (2, 6))
    assert few < more


def test_more_labels_than_a_class_has_are_refused():
    with pytest.raises(UserError, match=r"some.key wants 500 labels a class, but class 'a' has 3"):
        labelled_rows(np.zeros(3, int), 1, 500, seed=0, key="some.key", class_names=("a",))
    with pytest.raises(UserError, match=r"some.key wants labels, but none of the 3 images"):
        labelled_rows(np.full(3, -1), 1, 5, seed=0, key="some.key")
