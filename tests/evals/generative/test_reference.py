"""Features of the real images, kept on disk."""

import dataclasses
import logging

import numpy as np
import pytest

from ssljax.evals.generative import (
    ReferenceKey,
    Score,
    SetStatistics,
    digest_images,
    load_reference,
    save_reference,
)

KEY = ReferenceKey("cifar10", "train", 4, (32, 32, 3), "aa", "simclr", "bb", "none")


def statistics():
    features = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    exact = features.astype(np.float64)
    return SetStatistics(features, exact.mean(axis=0), np.cov(exact, rowvar=False))


def test_what_was_saved_comes_back(tmp_path, caplog):
    saved = statistics()
    save_reference(tmp_path / "new", KEY, saved)
    found = load_reference(tmp_path / "new", KEY)
    for field in dataclasses.fields(saved):
        assert np.array_equal(getattr(found, field.name), getattr(saved, field.name))
    assert len(list((tmp_path / "new").iterdir())) == 1
    assert not caplog.records


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ReferenceKey)])
def test_every_part_of_the_key_counts(tmp_path, caplog, field):
    other = {"count": 5, "image_shape": (28, 28, 1)}.get(field, "other")
    key = dataclasses.replace(KEY, **{field: other})
    save_reference(tmp_path, KEY, statistics())
    assert load_reference(tmp_path, key) is None
    assert not caplog.records
    KEY.path(tmp_path).rename(key.path(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert load_reference(tmp_path, key) is None
    (record,) = caplog.records
    assert "another set or extractor" in record.getMessage()


def _cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))


def _replace(**changes):
    def write(path):
        arrays = {"key": np.array(KEY.text), **vars(statistics()), **changes}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})

    return write


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive"),
        _cut,
        _flip,
        _replace(mean=None),
        _replace(mean=np.zeros(2)),
        _replace(features=np.zeros((4, 3))),
        _replace(mean=np.full(3, np.nan)),
        _replace(mean=np.array([{}, {}, {}])),
    ],
    ids=["empty", "text", "cut", "flipped", "missing", "shape", "type", "nan", "objects"],
)
def test_a_damaged_file_is_told_in_one_sentence_and_ignored(tmp_path, caplog, damage):
    save_reference(tmp_path, KEY, statistics())
    damage(KEY.path(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert load_reference(tmp_path, KEY) is None
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()
    assert "computed anew" in record.getMessage()
    save_reference(tmp_path, KEY, statistics())
    assert load_reference(tmp_path, KEY) is not None


def test_one_pixel_changes_the_digest_of_its_image_alone():
    images = np.zeros((2, 4, 4, 1), np.uint8)
    before = digest_images(images)
    assert before.shape == (2, 8)
    assert np.array_equal(before[0], before[1])
    images[1, 2, 3, 0] = 1
    after = digest_images(images)
    assert np.array_equal(after[0], before[0])
    assert not np.array_equal(after[1], before[1])


def test_the_name_of_a_score_says_what_it_was_measured_with():
    score = Score("fid", 3.0, 5000, 10000, "cifar10", "train[:20%]", "none", "simclr-step9")
    assert score.name == "fid_simclr-step9_n5000_cifar10-train-20-10000_none"
    without = dataclasses.replace(score, metric="is", reference_count=0, split="test")
    assert without.name == "is_simclr-step9_n5000_cifar10-test_none"
    for field, other in (
        ("metric", "kid"), ("count", 1), ("reference_count", 1), ("dataset", "x"), ("split", "x"),
        ("resizer", "x"), ("extractor", "x"),
    ):  # fmt: skip
        assert dataclasses.replace(score, **{field: other}).name != score.name
