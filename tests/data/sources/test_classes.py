"""Classes are known by their names, and what lacks its label is told."""

import numpy as np
import pytest

from ssljax.data import (
    ArraySource,
    FewLabels,
    FolderSource,
    Loader,
    Subset,
    load_all,
    read_labels,
    with_classes,
    with_labels,
)
from ssljax.errors import UserError


@pytest.fixture
def splits(tmp_path):
    """Three classes in train; in test one is missing and one comes first that is last in train."""
    for split, names in (("train", ("ant", "bee", "cat")), ("test", ("bee", "cat"))):
        for name in names:
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for k in range(3):
                (folder / f"{k}.png").write_bytes(b"")
    return tmp_path


def _names(source, of):
    return [of[label] for label in read_labels(source)]


def test_labels_follow_the_names(splits):
    train, test = FolderSource(splits, "train"), FolderSource(splits, "test")
    mapped = with_classes(test, train.class_names, "train")
    assert (mapped.num_classes, mapped.class_names) == (3, ("ant", "bee", "cat"))
    truth = [test.describe(i).split("/")[-2] for i in range(len(test))]
    assert _names(mapped, train.class_names) == truth
    assert [train.class_names[mapped.read(i)["label"]] for i in range(len(test))] == truth
    assert (len(mapped), mapped.describe(2)) == (len(test), test.describe(2))
    assert (mapped.summary(), mapped.contents()) == (test.summary(), test.contents())
    # However the classes are numbered, and through whatever stands on the source.
    other = ("cat", "dog", "bee", "ant")
    assert _names(with_classes(mapped, other, "other"), other) == truth
    assert _names(Subset(mapped, np.array([1, 4])), train.class_names) == [truth[1], truth[4]]


def test_equal_names_and_no_labels_change_nothing(splits):
    train = FolderSource(splits, "train")
    assert with_classes(train, ("ant", "bee", "cat"), "train") is train
    flat = FolderSource(splits / "train" / "ant")
    assert with_classes(flat, ("ant", "bee"), "train") is flat


def test_an_unknown_class_is_told_by_name(splits):
    train = FolderSource(splits, "train")
    with pytest.raises(UserError, match=r"folder/train has the class 'ant' that test lacks"):
        with_classes(train, ("bee", "cat"), "test")


def test_a_missing_label_stays_missing():
    images = np.zeros((3, 1, 1, 3), np.uint8)
    source = with_classes(ArraySource(images, np.array([1, -1, 0])), ("2", "1", "0"), "train")
    assert read_labels(source).tolist() == [1, -1, 2]
    arrays = load_all(source, image_size=1, channels=3, resize="none")
    assert arrays["label"].tolist() == [1, -1, 2]


class _Rare(ArraySource):
    """2,000 images, of which some have a label; counts how many labels are read."""

    def __init__(self, *labelled):
        labels = np.full(2000, -1)
        labels[list(labelled)] = 0
        super().__init__(np.zeros((2000, 1, 1, 3), np.uint8), labels)
        self.num_classes, self.class_names, self.looked_at = 1, ("0",), 0

    def read_labels(self, indices):
        self.looked_at += len(indices)
        return super().read_labels(indices)


def test_a_look_is_enough_where_labels_are_common():
    source = _Rare(*range(0, 2000, 2))
    assert with_labels(source, "the probe", every=False) is source
    assert source.looked_at <= 256


def test_one_label_is_found_wherever_it_is():
    assert with_labels(_Rare(1234), "the probe", every=False)


def test_no_label_at_all_is_told():
    with pytest.raises(UserError, match=r"array/train .*none of its images.*the probe learns"):
        with_labels(_Rare(), "the probe", every=False)


def test_of_every_image_a_label_is_wanted_and_the_one_without_is_named():
    with pytest.raises(UserError, match=r"array/train #0 has no label, and the GAN needs one"):
        with_labels(_Rare(1234), "the GAN", every=True)
    # A look does not meet the only one that lacks its label; reading does.
    source = with_labels(_Rare(*set(range(2000)) - {1233}), "the GAN", every=True)
    settings = {"image_size": 1, "channels": 3, "resize": "none"}
    with pytest.raises(UserError, match=r"array/train #1233 has no label"):
        load_all(source, **settings)
    with pytest.raises(UserError, match=r"array/train #1233 has no label"):
        next(Loader(source, batch_size=2000, seed=0, **settings).iterate())


def test_labels_that_are_kept_back_are_not_read():
    source = _Rare(*range(2000))
    few = FewLabels(source, np.array([7, 9]))
    assert few.read_labels([9, 8, 7]) == [0, None, 0]
    assert source.looked_at == 2
    assert few.summary() == "array/train: 2,000 images, 1 class, 2 labels known"
