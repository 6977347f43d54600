"""Masked videos of TFDS sets: frames of one video, in the order of time."""

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from ssljax.data import FrameKeys, open_masked_videos
from ssljax.errors import UserError

_KEYS = FrameKeys(clip="about/clip", time="about/time")


def _encode(value, channels):
    return cv2.imencode(".png", np.full((4, 6, channels), value, np.uint8))[1].tobytes()


class _Masked(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Two videos, a record for each frame, in an order of chance; a name is no UTF-8."""

    name = "toy_masked"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "frame": tfds.features.Image(shape=(4, 6, 3), encoding_format="png"),
            "mask": tfds.features.Image(shape=(4, 6, 1), encoding_format="png"),
            "about": {"clip": tfds.features.Text(), "time": np.float32},
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for k, (clip, count) in enumerate(((b"walk", 5), (b"caf\xe9", 3))):
            for place in range(count):
                yield (
                    f"{place}/{k}",
                    {
                        "frame": _encode(20 * k + place, 3),
                        "mask": _encode(100 + 20 * k + place, 1),
                        "about": {"clip": clip, "time": place / 10},
                    },
                )


@pytest.fixture(scope="module")
def toy_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("toys")
    _Masked(data_dir=str(directory), file_format="array_record").download_and_prepare()
    return str(directory)


def test_frames_and_masks_are_of_one_video_and_in_the_order_of_time(toy_dir):
    first, second = open_masked_videos(
        "toy_masked", "train", toy_dir, resolution="480p", keys=_KEYS
    )
    assert (first.name, first.length, second.name, second.length) == ("caf\ufffd", 3, "walk", 5)
    for video, start in ((first, 20), (second, 0)):
        for place in range(video.length):
            pixels = [
                int(cv2.imdecode(np.frombuffer(raw, np.uint8), -1).flat[0])
                for raw in video.read(place)
            ]
            assert pixels == [start + place, 100 + start + place]


@pytest.mark.parametrize(
    ("split", "keys", "told"),
    [
        ("test", {}, "'test' of toy_masked .* in config.evals.propagation.split"),
        ("train", {"mask": "about/clip"}, "frame's mask, among .*propagation.mask_key"),
        ("train", {"clip": "take"}, "no feature 'take' .*config.evals.propagation.clip_key"),
    ],
)
def test_what_is_not_there_is_told(toy_dir, split, keys, told):
    named = _KEYS._replace(**keys)
    with pytest.raises(UserError, match=told):
        open_masked_videos("toy_masked", split, toy_dir, resolution="480p", keys=named)
