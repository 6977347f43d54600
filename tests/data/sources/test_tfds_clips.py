"""Clips of TFDS sets: videos as records, and records that are frames of videos."""

import json

import cv2
import moving
import numpy as np
import pytest
import tensorflow_datasets as tfds

from ssljax.data import Parts, load_all, open_source
from ssljax.data.sources import tfds_videos
from ssljax.errors import UserError
from ssljax.tools import prepare_video

_PNG = {"shape": (32, 48, 3), "encoding_format": "png"}
_LENGTHS = (7, 3, 5)


def _encode(frame):
    return cv2.imencode(".png", frame[..., ::-1])[1].tobytes()


class _Videos(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Three videos, one a record."""

    name = "toy_videos"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "video": tfds.features.Sequence(tfds.features.Image(**_PNG)),
            "label": tfds.features.ClassLabel(names=["low", "high"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for k, count in enumerate(_LENGTHS):
            frames = [_encode(frame) for frame in moving.numbered(40)[10 * k : 10 * k + count]]
            yield k, {"video": frames, "label": int(k == 2)}


class _Frames(_Videos, skip_registration=True):
    """The same videos, a record for each frame, in an order of chance."""

    name = "toy_video_frames"

    def _info(self):
        features = {
            "frame": tfds.features.Image(**_PNG),
            "about": {"clip": tfds.features.Text(), "time": np.float32},
            "label": tfds.features.ClassLabel(names=["low", "high"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _generate_examples(self):
        for k, example in super()._generate_examples():
            for place, frame in enumerate(example["video"]):
                about = {"clip": f"take {k}", "time": place / 10}
                yield f"{place}/{k}", {"frame": frame, "about": about, "label": example["label"]}


@pytest.fixture(scope="module")
def toy_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("toys")
    for builder in (_Videos, _Frames):
        builder(data_dir=str(directory), file_format="array_record").download_and_prepare()
    # TFDS writes `Video` with TensorFlow alone; what is stored is the same.
    (file,) = directory.glob("toy_videos/*/features.json")
    stored = json.loads(file.read_text())
    stored["featuresDict"]["features"]["video"] = {
        "pythonClassName": "tensorflow_datasets.core.features.video_feature.Video",
        "video": {
            "shape": {"dimensions": ["-1", "32", "48", "3"]},
            "dtype": "uint8",
            "encodingFormat": "png",
        },
    }
    file.write_text(json.dumps(stored))
    return directory


_KEYS = {"clip_key": "about/clip", "time_key": "about/time"}


@pytest.mark.parametrize(("name", "keys"), [("toy_videos", {}), ("toy_video_frames", _KEYS)])
def test_clips_are_of_one_video_and_in_the_order_of_time(name, keys, toy_dir):
    source = open_source(name, "train", toy_dir, parts=Parts(frames=2, stride=2, hop=2, **keys))
    arrays = load_all(source, image_size=32, channels=3)
    found = [[moving.number_of(frame) for frame in clip] for clip in arrays["clip"]]
    assert sorted(found) == [[0, 2], [2, 4], [4, 6], [10, 12], [20, 22], [22, 24]]
    assert arrays["label"].tolist() == [int(first >= 20) for first, _ in found]
    pairs = zip(arrays["video"].tolist(), [first // 10 for first, _ in found], strict=True)
    assert len(set(pairs)) == len(set(arrays["video"].tolist())) == 3
    assert source.read_labels(range(6)) == arrays["label"].tolist()
    assert source.class_names == ("low", "high")
    longer = open_source(name, "train", toy_dir, parts=Parts(frames=4, **keys))
    assert "1 video of 3 frames is shorter than a clip of 4 frames" in longer.summary()


def test_records_that_hold_whole_videos_are_read_one_at_a_time(toy_dir, monkeypatch):
    read = []
    load = tfds_videos.open_split

    def watched(*arguments):
        records = load(*arguments)
        take = type(records).__getitems__
        monkeypatch.setattr(
            type(records), "__getitems__", lambda self, rows: read.append(rows) or take(self, rows)
        )
        return records

    monkeypatch.setattr(tfds_videos, "open_split", watched)
    open_source("toy_videos", "train", toy_dir, parts=Parts(frames=2))
    assert read == [[0], [1], [2]]


def test_a_part_is_one_of_the_videos(toy_dir):
    parts = Parts(frames=1, **_KEYS)
    sizes = []
    for part in ("train[:1]", "train[1:2]", "train[2:]"):
        source = open_source("toy_video_frames", part, toy_dir, parts=parts)
        sizes.append(len(source))
        assert len({source.holder(i) for i in range(len(source))}) == 1
    assert sorted(sizes) == sorted(_LENGTHS)


@pytest.mark.parametrize(
    ("name", "parts", "told"),
    [
        (
            "toy_video_frames",
            {},
            "no feature of the type Video, or several: .* config.data.clip_key",
        ),
        ("toy_video_frames", {"clip_key": "about/clip"}, "clip_key needs config.data.time_key"),
        (
            "toy_video_frames",
            {**_KEYS, "clip_key": "take"},
            "clip_key='take' is no feature: .*about",
        ),
        (
            "toy_videos",
            {"frames": 8},
            "no video of 8 frames among its 3 videos.*3 videos of 3 to 7",
        ),
        ("toy_videos", {"motion": 0.5}, "config.data.motion needs frames in folders"),
    ],
)
def test_what_cannot_be_is_told(name, parts, told, toy_dir):
    with pytest.raises(UserError, match=told):
        open_source(name, "train", toy_dir, parts=Parts(**{"frames": 2, **parts}))


@pytest.mark.parametrize(
    ("name", "keys", "video"),
    [
        ("toy_videos", (), "video2"),
        ("toy_video_frames", ("--clip_key=about/clip", "--time_key=about/time"), "take 2"),
    ],
)
def test_videos_of_a_set_are_prepared(name, keys, video, toy_dir, tmp_path):
    out = tmp_path / "out"
    common = (f"--data_dir={toy_dir}", f"--out={out}", "--parts=frames", "--jobs=1")
    assert prepare_video.main([f"--dataset={name}", *keys, *common]) == 0
    folders = sorted((out / "frames" / "train").iterdir())
    assert len(folders) == 3
    counts = sorted(len(list(folder.iterdir())) for folder in folders)
    assert counts == sorted(_LENGTHS)
    frames = [cv2.imread(str(file)) for file in sorted((folders[-1]).iterdir())]
    assert folders[-1].name == video
    first = moving.number_of(frames[0])
    assert [moving.number_of(frame) for frame in frames] == [first + k for k in range(len(frames))]
    assert name == "toy_videos" or first == 20
