"""Arrays and folders as sources: labels, splits, and what is told when they are wrong."""

import logging
import os
import shutil

import numpy as np
import pytest

from ssljax.data import (
    ArraySource,
    FolderSource,
    Source,
    Subset,
    decode,
    fingerprint,
    open_source,
    read_labels,
)
from ssljax.errors import UserError


def test_array_source_gives_its_records():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    source = ArraySource(images, np.array([0, 2, 1, 0, 2]), name="toy")
    assert isinstance(source, Source)
    assert (len(source), source.num_classes) == (5, 3)
    record = source.read(1)
    np.testing.assert_array_equal(record["image"], images[1])
    assert record["label"] == 2
    assert source.describe(1) == "toy/train #1"
    assert [r["label"] for r in source.read_many([4, 0])] == [2, 0]


def test_array_source_without_labels():
    source = ArraySource(np.zeros((3, 4, 4), np.uint8))
    assert source.num_classes is None
    assert source.read(0)["label"] is None


def test_minus_one_is_no_label():
    source = ArraySource(np.zeros((3, 4, 4), np.uint8), np.array([1, -1, 0]))
    assert [source.read(i)["label"] for i in range(3)] == [1, None, 0]
    assert source.num_classes == 2
    assert read_labels(source).tolist() == [1, -1, 0]
    assert ArraySource(np.zeros((1, 4, 4), np.uint8), np.array([-1])).num_classes is None
    with pytest.raises(ValueError, match="-1 for none, got -2"):
        ArraySource(np.zeros((1, 4, 4), np.uint8), np.array([-2]))


def test_array_source_refuses_other_arrays():
    images = np.zeros((3, 4, 4), np.uint8)
    with pytest.raises(ValueError, match="uint8"):
        ArraySource(images.astype(np.float32))
    with pytest.raises(ValueError, match="3 integers"):
        ArraySource(images, np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="3 integers"):
        ArraySource(images, np.zeros(3))


def _names(source):
    return [source.describe(i).rsplit("/", 1)[1] for i in range(len(source))]


def test_folders_are_classes(jpegs):
    source = open_source("folder", "train", jpegs)
    assert isinstance(source, Source)
    assert source.class_names == ("cat", "dog")
    assert source.num_classes == 2
    assert sorted(_names(source)) == [f"{k}.jpg" for k in range(6)]
    for i, name in enumerate(_names(source)):
        k = int(name[0])
        record = source.read(i)
        assert record["label"] == int(k >= 3)
        assert abs(int(decode(record["image"], channels=3, image_size=20).mean()) - 40 * k) <= 1


def test_an_empty_class_folder_keeps_its_number(jpegs):
    (jpegs / "bird").mkdir()
    assert FolderSource(jpegs).class_names == ("bird", "cat", "dog")
    assert {FolderSource(jpegs).read(i)["label"] for i in range(6)} == {1, 2}


def test_other_and_hidden_files_are_skipped_and_case_is_not_minded(jpegs):
    (jpegs / "cat" / "notes.txt").write_text("no image")
    (jpegs / "cat" / "._0.jpg").write_bytes(b"resource fork")
    (jpegs / ".trash").mkdir()
    (jpegs / ".trash" / "9.jpg").write_bytes(b"")
    (jpegs / "cat" / "deep").mkdir()
    (jpegs / "cat" / "0.jpg").rename(jpegs / "cat" / "deep" / "0.JPEG")
    source = FolderSource(jpegs)
    assert sorted(_names(source)) == ["0.JPEG", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]
    assert source.class_names == ("cat", "dog")


def test_a_flat_folder_has_no_labels(jpegs):
    source = FolderSource(jpegs / "cat")
    assert (len(source), source.num_classes, source.read(0)["label"]) == (3, None, None)


def test_a_single_folder_is_no_class(jpegs):
    (jpegs / "only").mkdir()
    (jpegs / "cat").rename(jpegs / "only" / "images")
    assert FolderSource(jpegs / "only").num_classes is None


def test_a_single_folder_is_a_class_where_another_split_has_it_among_others(jpegs):
    for split in ("train", "test"):
        (jpegs / split).mkdir()
    (jpegs / "dog").rename(jpegs / "test" / "dog")
    (jpegs / "cat").rename(jpegs / "train" / "cat")
    assert FolderSource(jpegs, "test").num_classes is None
    (jpegs / "train" / "dog").mkdir()
    assert FolderSource(jpegs, "test").class_names == ("dog",)


def test_loose_images_beside_folders_are_told(jpegs, caplog):
    (jpegs / "cat" / "0.jpg").rename(jpegs / "0.jpg")
    with caplog.at_level(logging.WARNING):
        source = FolderSource(jpegs)
    assert (len(source), source.num_classes) == (6, None)
    assert "1 images beside its folders" in caplog.text


def test_a_folder_named_like_the_split_is_used(jpegs):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (jpegs / split / name).mkdir(parents=True)
    (jpegs / "cat" / "0.jpg").rename(jpegs / "train" / "cat" / "0.jpg")
    (jpegs / "dog" / "5.jpg").rename(jpegs / "test" / "dog" / "5.jpg")
    shutil.rmtree(jpegs / "cat")
    shutil.rmtree(jpegs / "dog")
    assert _names(FolderSource(jpegs, "train")) == ["0.jpg"]
    test = FolderSource(jpegs, "test")
    assert (_names(test), test.read(0)["label"]) == (["5.jpg"], 1)


def _make_flat(directory, count):
    directory.mkdir()
    for k in range(count):
        (directory / f"{k:03d}.png").write_bytes(b"")
    return directory


def test_parts_make_up_the_whole_and_do_not_depend_on_the_place(tmp_path):
    flat = _make_flat(tmp_path / "flat", 30)
    whole = _names(FolderSource(flat, "train"))
    assert whole != sorted(whole)
    first, rest = FolderSource(flat, "train[:33%]"), FolderSource(flat, "train[33%:]")
    assert len(first) == 10
    assert _names(first) + _names(rest) == whole
    assert _names(FolderSource(flat, "train[5:-10%]")) == whole[5:-3]
    assert _names(FolderSource(flat, "[-4:]")) == whole[-4:]
    assert _names(FolderSource(_make_flat(tmp_path / "other", 30))) == whole


def test_a_part_of_a_labelled_folder_holds_every_class(tmp_path):
    for name in "abcd":
        _make_flat(tmp_path / name, 25)
    part = FolderSource(tmp_path, "train[:50%]")
    counts = np.bincount([part.read(i)["label"] for i in range(len(part))], minlength=4)
    assert counts.min() >= 5


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("test", "no split 'test'.*train, cat, dog"),
        ("train[:a]", "cannot be understood"),
        ("train[3:3]", "is empty.*6 images"),
        ("train[9:]", "is empty"),
    ],
)
def test_a_wrong_split_is_told(jpegs, split, message):
    with pytest.raises(UserError, match=message):
        FolderSource(jpegs, split)


def test_a_wrong_directory_is_told(tmp_path):
    with pytest.raises(UserError, match="no directory"):
        FolderSource(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no images"):
        FolderSource(tmp_path)
    with pytest.raises(UserError, match=r"needs a directory.*config\.data\.dir"):
        open_source("folder", "train")


def test_a_file_that_vanishes_is_told(jpegs):
    source = FolderSource(jpegs)
    for file in jpegs.rglob("*.jpg"):
        file.unlink()
    with pytest.raises(UserError, match=r"\.jpg cannot be read"):
        source.read(0)


def _fill(directory, count=3):
    directory.mkdir(parents=True)
    for k in range(count):
        (directory / f"{k}.png").write_bytes(b"x" * k)


def test_a_class_may_be_called_like_a_split(tmp_path):
    for name in ("bus", "car", "train"):
        _fill(tmp_path / name)
    source = FolderSource(tmp_path, "train")
    assert (len(source), source.class_names) == (9, ("bus", "car", "train"))
    with pytest.raises(UserError, match=r"no split 'test'.*bus, car, train"):
        FolderSource(tmp_path, "test")
    # A folder without images beside the splits is neither a class nor a split.
    for name in ("bus", "car"):
        shutil.rmtree(tmp_path / name)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "boxes.json").write_text("{}")
    assert len(FolderSource(tmp_path, "train")) == 3
    assert FolderSource(tmp_path, "train").num_classes is None


def test_splits_are_not_taken_for_classes(tmp_path):
    for name in ("val", "Test"):
        _fill(tmp_path / name)
    for split in ("train", "", "test"):
        with pytest.raises(UserError, match=r"no split .*choose one of Test, val"):
            FolderSource(tmp_path, split)
    assert len(FolderSource(tmp_path, "val")) == 3


def test_folders_of_unpaired_domains_are_splits(tmp_path):
    for number, name in enumerate(("trainA", "trainB", "testA", "testB"), 1):
        _fill(tmp_path / name, number)
    for number, name in enumerate(("trainA", "trainB", "testA", "testB"), 1):
        source = FolderSource(tmp_path, name)
        assert (len(source), source.num_classes) == (number, None)
    assert len(FolderSource(tmp_path, "testB[:50%]")) == 2
    with pytest.raises(UserError, match=r"no split 'train'.*testA, testB, trainA, trainB"):
        FolderSource(tmp_path, "train")
    # What else lies there, such as results, does not keep the domains from being found.
    _fill(tmp_path / "results")
    assert len(FolderSource(tmp_path, "trainB")) == 2


def test_splits_beside_classes_are_told(tmp_path):
    for name in ("train", "test", "bus"):
        _fill(tmp_path / name)
    for split in ("train", "test"):
        with pytest.raises(UserError, match=r"like splits \(test, train\) beside others.*\(bus\)"):
            FolderSource(tmp_path, split)
    # A name that is no usual split can only mean the folder.
    assert len(FolderSource(tmp_path, "bus")) == 3


def test_each_folder_is_read_once_whatever_links_lead_to_it(tmp_path):
    for name in ("a", "b"):
        _fill(tmp_path / "set" / name)
    _fill(tmp_path / "elsewhere" / "deep")
    os.symlink("..", tmp_path / "set" / "a" / "up")
    os.symlink(tmp_path / "set" / "a", tmp_path / "set" / "again")
    os.symlink(tmp_path / "elsewhere", tmp_path / "set" / "b" / "more")
    os.symlink(tmp_path / "set", tmp_path / "elsewhere" / "deep" / "back")
    source = FolderSource(tmp_path / "set")
    found = sorted(source.describe(i).removeprefix(f"{tmp_path}/set/") for i in range(len(source)))
    assert found == sorted(
        [f"{folder}/{k}.png" for folder in ("a", "b", "b/more/deep") for k in range(3)]
    )
    assert source.class_names == ("a", "b")
    assert "3 links to folders that are read already" in source.summary()


def test_a_folder_tells_what_it_found(tmp_path):
    for split, count in (("train", 4), ("test", 2)):
        for name in "xyz":
            _fill(tmp_path / split / name, count)
    for name in ("a.txt", "b.txt", "c.MP4", "README", "._0.png"):
        (tmp_path / "train" / "x" / name).write_text("")
    told = FolderSource(tmp_path, "train").summary()
    assert told.startswith("folder/train: 12 images, 3 classes; splits test, train; skipped files:")
    for part in ("2 .txt", "1 .mp4", "1 without an ending", "1 hidden"):
        assert part in told
    part = Subset(FolderSource(tmp_path, "test"), np.array([0, 3]))
    assert part.summary().startswith("2 of folder/test: 6 images, 3 classes; splits test, train")


def test_gif_and_tiff_are_images(tmp_path):
    for name in ("a.gif", "b.TIF", "c.tiff"):
        (tmp_path / name).write_bytes(b"")
    assert len(FolderSource(tmp_path)) == 3


def test_a_folder_that_cannot_be_listed_is_told(jpegs, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("cat"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cat cannot be read \(Permission denied\)"):
        FolderSource(jpegs)


def test_the_fingerprint_of_a_folder_is_its_names_and_sizes(jpegs, tmp_path):
    before = fingerprint(FolderSource(jpegs))
    assert (before["images"], before["classes"]) == (6, ["cat", "dog"])
    moved = tmp_path / "moved"
    shutil.copytree(jpegs, moved)
    assert fingerprint(FolderSource(moved)) == before
    assert fingerprint(FolderSource(moved, "train[:50%]"))["digest"] != before["digest"]
    with (moved / "cat" / "0.jpg").open("ab") as file:
        file.write(b"x")
    longer = fingerprint(FolderSource(moved))
    assert longer["digest"] != before["digest"]
    (moved / "cat" / "0.jpg").rename(moved / "cat" / "6.jpg")
    assert fingerprint(FolderSource(moved))["digest"] not in (before["digest"], longer["digest"])


def test_nothing_is_read_for_a_fingerprint(jpegs, monkeypatch):
    source = FolderSource(jpegs)
    monkeypatch.setattr(FolderSource, "read", None)
    assert fingerprint(Subset(source, np.array([1]))) != fingerprint(source)
