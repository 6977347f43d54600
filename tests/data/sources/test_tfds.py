"""TFDS sets without TensorFlow, with and without code."""

import json
import shutil

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from ssljax.data import (
    Source,
    TfdsSource,
    decode,
    fingerprint,
    open_builder,
    open_source,
)
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
    return int(decode(record["image"], channels=3, image_size=5)[0, 0, 0])


def test_a_set_without_code_is_read(toy_dir):
    source = open_source("toy_frames", "train", toy_dir, image_key="picture", label_key="kind")
    assert isinstance(source, Source)
    assert (source.name, len(source), source.class_names) == ("toy_frames", 20, ("even", "odd"))
    records = [source.read(i) for i in range(20)]
    assert sorted(_pixel(r) for r in records) == [10 * k for k in range(20)]
    assert all(r["label"] == _pixel(r) // 10 % 2 for r in records)
    assert source.describe(17) == "toy_frames/train #17"


def test_many_records_are_those_read_one_by_one(toy_dir):
    source = open_source("toy_frames", "train", toy_dir, image_key="mask", label_key="size")
    places = [7, 0, 19, 7]
    assert source.read_many(places) == [source.read(i) for i in places]


def test_the_only_image_and_class_label_are_found(toy_dir):
    source = open_source("toy_plain", "train", toy_dir)
    assert source.class_names == ("even", "odd")
    assert all(r["label"] == _pixel(r) // 10 % 2 for r in source.read_many(range(20)))


def test_of_several_images_none_is_taken_unasked(toy_dir):
    with pytest.raises(UserError, match=r"mask.*picture.*config\.data\.image_key"):
        TfdsSource(open_builder("toy_frames", toy_dir), "train", label_key="kind")


def test_of_several_class_labels_none_is_taken_unasked(toy_dir):
    source = open_source("toy_frames", "train", toy_dir, image_key="picture")
    assert source.num_classes is None
    assert source.read(0)["label"] is None


class _Scans(_Toy, skip_registration=True):
    """Nested images of 16 bits and of floats, objects with classes, and rows without a label."""

    name = "toy_scans"

    def _info(self):
        png = {"encoding_format": "png"}
        scan = {
            "image": tfds.features.Image(shape=(4, 4, 1), dtype=np.uint16, **png),
            "label": tfds.features.ClassLabel(names=["lung", "knee"]),
        }
        features = {
            "scan": scan,
            "depth": tfds.features.Image(shape=(4, 4, 1), dtype=np.float32, **png),
            "objects": tfds.features.Sequence({"label": tfds.features.ClassLabel(num_classes=3)}),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self):
        for k in range(6):
            image = np.full((4, 4, 1), 1000 * k, np.uint16)
            yield (
                k,
                {
                    "scan": {
                        "image": cv2.imencode(".png", image)[1].tobytes(),
                        "label": -1 if k == 2 else k % 2,
                    },
                    "depth": _float_bytes(np.full((4, 4, 1), k / 5, np.float32)),
                    "objects": [{"label": k % 3}] * k,
                },
            )


def _float_bytes(values):
    """The PNG that TFDS would write of floats, were TensorFlow here."""
    rgba = np.ascontiguousarray(values).view(np.uint8)
    return cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1].tobytes()


class _One(_Scans, skip_registration=True):
    """The only image and the only class are nested."""

    name = "toy_one"

    def _info(self):
        features = {"scan": super()._info().features["scan"]}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self):
        for k, example in super()._generate_examples():
            yield k, {"scan": example["scan"]}


@pytest.fixture(scope="module")
def scans_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("scans")
    with pytest.MonkeyPatch.context() as patch:
        # TFDS has TensorFlow encode float images, and so refuses bytes of them.
        image = tfds.features.Image
        encode = image.encode_example
        patch.setattr(image, "encode_example", lambda f, x: x if type(x) is bytes else encode(f, x))
        for builder in (_Scans, _One):
            builder(data_dir=str(directory), file_format="array_record").download_and_prepare()
    return directory


@pytest.mark.parametrize("between", ["/", "."])
def test_nested_features_are_named_by_their_paths(scans_dir, between):
    source = open_source(
        "toy_scans",
        "train",
        scans_dir,
        image_key=between.join(["scan", "image"]),
        label_key=between.join(["scan", "label"]),
    )
    assert source.class_names == ("lung", "knee")
    # Of 16 bits the upper 8 are read.
    values = [1000 * k // 256 for k in range(6)]
    found = [
        (int(decode(r["image"], channels=1, image_size=4)[0, 0, 0]), r["label"])
        for r in source.read_many(range(6))
    ]
    assert sorted(found, key=lambda x: x[0]) == list(
        zip(values, [0, 1, None, 1, 0, 1], strict=True)
    )


def test_the_only_nested_feature_is_found(scans_dir):
    source = open_source("toy_one", "train", scans_dir)
    assert (len(source), source.class_names) == (6, ("lung", "knee"))


def test_float_images_are_their_own_floats(scans_dir):
    source = open_source("toy_scans", "train", scans_dir, image_key="depth")
    found = [
        int(decode(r["image"], channels=1, image_size=4)[0, 0, 0])
        for r in source.read_many(range(6))
    ]
    assert sorted(found) == [0, 51, 102, 153, 204, 255]


def test_one_of_several_cannot_be_the_label(scans_dir):
    with pytest.raises(UserError, match=r"'objects/label' lies in 'objects'.*choose one of scan/l"):
        open_source("toy_scans", "train", scans_dir, image_key="depth", label_key="objects/label")
    with pytest.raises(UserError, match=r"is not a feature.*choose one of depth, scan/image"):
        open_source("toy_scans", "train", scans_dir, image_key="scan/picture")


def test_a_label_out_of_range_is_told(scans_dir, tmp_path):
    shutil.copytree(scans_dir / "toy_one", tmp_path / "toy_one")
    file = tmp_path / "toy_one" / "1.0.0" / "scan-label.labels.txt"
    for path in (tmp_path / "toy_one" / "1.0.0").glob("*label*"):
        path.unlink()
    assert not file.exists()
    features = tmp_path / "toy_one" / "1.0.0" / "features.json"
    features.write_text(features.read_text().replace('"numClasses": "2"', '"numClasses": "1"'))
    source = open_source("toy_one", "train", tmp_path)
    assert source.num_classes == 1
    with pytest.raises(UserError, match=r"toy_one/train #\d has the label 1.*numbered from 0"):
        source.read_labels(range(6))


def test_the_fingerprint_follows_what_tfds_has_recorded(toy_dir, scans_dir, tmp_path):
    whole = fingerprint(open_source("toy_plain", "train", toy_dir))
    assert (whole["images"], whole["classes"]) == (20, ["even", "odd"])
    moved = shutil.copytree(toy_dir / "toy_plain", tmp_path / "toy_plain") / "1.0.0"
    assert fingerprint(open_source("toy_plain", "train", tmp_path)) == whole
    digests = {whole["digest"]} | {
        fingerprint(open_source("toy_plain", split, toy_dir))["digest"]
        for split in ("train[:50%]", "train[50%:]")
    }
    assert len(digests) == 3
    info = json.loads((moved / "dataset_info.json").read_text())
    info["splits"][0]["numBytes"] = "1"
    (moved / "dataset_info.json").write_text(json.dumps(info))
    changed = fingerprint(open_source("toy_plain", "train", tmp_path))
    assert changed["digest"] != whole["digest"]


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
