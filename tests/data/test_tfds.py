"""TFDS sets without TensorFlow, with and without code, and our own digits."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits

from ssljax.data import Source, TfdsSource, decode, open_builder, open_source, prepare_digits
from ssljax.errors import UserError


def _toy_image(k):
    return np.full((6, 5, 3), 10 * k, np.uint8)


class _Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A set with unusual feature names, which TFDS knows no code for."""

    name = "toy_frames"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "boxes": tfds.features.Sequence({"area": tfds.features.Scalar(np.int64)}),
            "picture": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "mask": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "size": tfds.features.ClassLabel(names=["small", "large"]),
            "kind": tfds.features.ClassLabel(names=["even", "odd"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for k in range(20):
            yield (
                k,
                {
                    "boxes": [{"area": k}] * (k % 3),
                    "picture": cv2.imencode(".png", _toy_image(k))[1].tobytes(),
                    "mask": b"never decoded",
                    "size": int(k >= 10),
                    "kind": k % 2,
                },
            )


class _Plain(_Toy, skip_registration=True):
    """One image and one class label, by other names than usual."""

    name = "toy_plain"
    _KEYS = ("picture", "kind")

    def _info(self):
        features = {key: super(_Plain, self)._info().features[key] for key in self._KEYS}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self):
        for k, example in super()._generate_examples():
            yield k, {key: example[key] for key in self._KEYS}


@pytest.fixture(scope="module")
def toy_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("toy")
    for builder in (_Toy, _Plain):
        builder(data_dir=str(directory), file_format="array_record").download_and_prepare()
    return directory


def _pixel(record):
    return int(decode(record.image, channels=3, image_size=5)[0, 0, 0])


def test_a_set_without_code_is_read(toy_dir):
    source = open_source("toy_frames", "train", toy_dir, image_key="picture", label_key="kind")
    assert isinstance(source, Source)
    assert (source.name, len(source), source.class_names) == ("toy_frames", 20, ("even", "odd"))
    records = [source.read(i) for i in range(20)]
    assert sorted(_pixel(r) for r in records) == [10 * k for k in range(20)]
    assert all(r.label == _pixel(r) // 10 % 2 for r in records)
    assert source.describe(17) == "toy_frames/train #17"


def test_many_records_are_those_read_one_by_one(toy_dir):
    source = open_source("toy_frames", "train", toy_dir, image_key="mask", label_key="size")
    places = [7, 0, 19, 7]
    assert source.read_many(places) == [source.read(i) for i in places]


def test_the_only_image_and_class_label_are_found(toy_dir):
    source = open_source("toy_plain", "train", toy_dir)
    assert source.class_names == ("even", "odd")
    assert all(r.label == _pixel(r) // 10 % 2 for r in source.read_many(range(20)))


def test_of_several_images_none_is_taken_unasked(toy_dir):
    with pytest.raises(UserError, match=r"mask.*picture.*config\.data\.image_key"):
        TfdsSource(open_builder("toy_frames", toy_dir), "train", label_key="kind")


def test_of_several_class_labels_none_is_taken_unasked(toy_dir):
    source = open_source("toy_frames", "train", toy_dir, image_key="picture")
    assert source.num_classes is None
    assert source.read(0).label is None


def test_parts_of_a_split(toy_dir):
    whole = open_source("toy_frames", "train", toy_dir, image_key="picture")
    part = open_source("toy_frames", "train[10%:50%]", toy_dir, image_key="picture")
    assert len(part) == 8
    assert [part.read(i) for i in range(8)] == [whole.read(i) for i in range(2, 10)]


def test_the_directory_of_a_set_can_be_named(toy_dir, monkeypatch):
    assert len(open_source(str(toy_dir / "toy_frames" / "1.0.0"), "train", image_key="mask")) == 20
    monkeypatch.setenv("TFDS_DATA_DIR", str(toy_dir))
    assert len(open_source("toy_frames", "train", image_key="mask")) == 20


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("valid", r"'valid' of toy_frames.*train \(20\)"),
        ("train[:x]", r"'train\[:x\]' of toy_frames.*train \(20\)"),
        ("train[:0]", r"'train\[:0\]' of toy_frames.*train \(20\)"),
    ],
)
def test_a_wrong_split_is_told(toy_dir, split, message):
    with pytest.raises(UserError, match=message):
        open_source("toy_frames", split, toy_dir, image_key="picture")


def test_a_wrong_feature_is_told(toy_dir):
    with pytest.raises(UserError, match=r"config\.data\.image_key='boxes'.*picture"):
        open_source("toy_frames", "train", toy_dir, image_key="boxes")
    with pytest.raises(UserError, match=r"config\.data\.label_key='mask'.*kind"):
        open_source("toy_frames", "train", toy_dir, image_key="picture", label_key="mask")


def test_an_unknown_name_is_told(toy_dir):
    with pytest.raises(
        UserError, match=r"'toy_frame': .* holds toy_frames, toy_plain, and names near"
    ):
        open_source("toy_frame", "train", toy_dir)
    with pytest.raises(UserError, match="cannot open the data set 'not a name'"):
        open_source("not a name", "train", toy_dir)


def test_how_to_prepare_is_told(tmp_path):
    with pytest.raises(
        UserError, match=r"not prepared.*ssljax\[prepare\].*tfds.builder\('cifar10'"
    ):
        open_source("cifar10", "train", tmp_path)


def test_another_version_is_told(tmp_path, toy_dir):
    info = (toy_dir / "toy_frames" / "1.0.0" / "dataset_info.json").read_text()
    old = tmp_path / "cifar10" / "1.0.0"
    old.mkdir(parents=True)
    (old / "dataset_info.json").write_text(info)
    with pytest.raises(UserError, match=r"not prepared.*version 1\.0\.0 is: name it 'cifar10:1"):
        open_source("cifar10", "train", tmp_path)


def test_a_sequential_format_is_told(tmp_path, toy_dir):
    source = toy_dir / "toy_frames" / "1.0.0"
    copy = tmp_path / "toy_frames" / "1.0.0"
    copy.mkdir(parents=True)
    for file in source.glob("*.json"):
        (copy / file.name).write_text(file.read_text())
    info = json.loads((copy / "dataset_info.json").read_text())
    (copy / "dataset_info.json").write_text(json.dumps(info | {"fileFormat": "tfrecord"}))
    with pytest.raises(UserError, match=r"prepared as tfrecord.*array_record.*convert_format"):
        open_source("toy_frames", "train", tmp_path, image_key="picture")


def test_digits_are_those_of_scikit_learn(digits_dir):
    digits = load_digits()
    expected = np.rint(digits.images * 255 / 16).astype(np.uint8)
    for split, rows in (("train", slice(0, 1400)), ("test", slice(1400, 1797))):
        source = open_source("digits", split, digits_dir)
        assert (len(source), source.num_classes) == (rows.stop - rows.start, 10)
        got = sorted(
            (decode(r.image, channels=1, image_size=8).tobytes(), r.label)
            for r in source.read_many(range(len(source)))
        )
        want = [
            (x.tobytes(), int(y)) for x, y in zip(expected[rows], digits.target[rows], strict=True)
        ]
        assert got == sorted(want)


def test_digits_are_written_to_the_cache_directory(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    open_source("digits", "train")
    assert (tmp_path / "ssljax" / "digits" / "1.0.0" / "dataset_info.json").exists()
    assert capfd.readouterr() == ("", "")


def test_a_directory_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"digits cannot be written.*config\.data\.dir"):
        prepare_digits(tmp_path / "file")


# Each process waits inside the preparation until the other one is there as well.
_RACE = """
import pathlib, sys, time
from sklearn import datasets
from ssljax.data import load_all, open_source
root, me = pathlib.Path(sys.argv[1]), sys.argv[2]
load = datasets.load_digits
def load_together():
    (root / f"started-{me}").touch()
    deadline = time.monotonic() + 60
    while len(list(root.glob("started-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    return load()
datasets.load_digits = load_together
source = open_source("digits", "test", root)
batch = load_all(source, image_size=8, channels=1)
print(len(batch["image"]), int(batch["label"].sum()), "tensorflow" in sys.modules)
"""


def test_two_processes_prepare_at_once_without_tensorflow(tmp_path):
    def start(me):
        return subprocess.Popen(
            [sys.executable, "-c", _RACE, str(tmp_path), me],
            env=os.environ | {"PYTHONPATH": os.getcwd()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    processes = [start("a"), start("b")]
    results = [p.communicate(timeout=120) for p in processes]
    labels = int(load_digits().target[1400:].sum())
    for process, (out, err) in zip(processes, results, strict=True):
        assert process.returncode == 0, err
        assert out.split() == ["397", str(labels), "False"]
    assert [p.name for p in (tmp_path / "digits").iterdir()] == ["1.0.0"]
    assert {p.name for p in tmp_path.glob("started-*")} == {"started-a", "started-b"}
