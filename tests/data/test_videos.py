"""Single frames of video files are those that decoding all of a file gives."""

import importlib.util

import av
import moving
import numpy as np
import pytest

from ssljax.data.decode import CorruptImage
from ssljax.data.videos import VideoFile, spread
from ssljax.errors import UserError

_COUNT = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A video of numbered frames in each format."""
    folder = tmp_path_factory.mktemp("videos")
    frames = moving.numbered(_COUNT)
    return {
        name: moving.write_video(folder / name, frames, codec)
        for name, codec in moving.FORMATS.items()
    }


@pytest.mark.parametrize("name", moving.FORMATS)
def test_frames_are_those_of_decoding_all(name, files):
    with av.open(str(files[name])) as container:
        whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert VideoFile(files[name]).count() == len(whole) == _COUNT
    assert [moving.number_of(frame) for frame in whole] == list(range(_COUNT))
    draws = np.random.default_rng(0)
    video = VideoFile(files[name])
    for numbers in (
        [_COUNT - 1],
        [0],
        [11, 12, 13],
        [0, 38],
        *draws.permuted(np.tile(np.arange(_COUNT), (4, 1)), axis=1)[:, :3].tolist(),
    ):
        for number, frame in zip(sorted(numbers), video.read(sorted(numbers)), strict=True):
            np.testing.assert_array_equal(frame, whole[number], err_msg=f"{number} of {numbers}")


def test_only_the_frames_that_are_needed_are_decoded(files, tmp_path):
    data = bytearray(files["plain.mp4"].read_bytes())
    with av.open(str(files["plain.mp4"])) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        places = [(packet.pos, packet.size) for packet in packets[:24]]
    for start, size in places:
        data[start : start + size] = bytes(size)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    np.testing.assert_array_equal(
        VideoFile(damaged).read([24, 38]), VideoFile(files["plain.mp4"]).read([24, 38])
    )
    with pytest.raises(CorruptImage):
        VideoFile(damaged).read([5])


@pytest.mark.parametrize("name", [name for name in moving.FORMATS if name != "plain.avi"])
def test_of_a_file_that_was_cut_short_the_beginning_is_read(name, files, tmp_path):
    data = files[name].read_bytes()
    cut = tmp_path / name
    cut.write_bytes(data[: len(data) * 7 // 10])
    assert VideoFile(cut).count() == _COUNT
    frames = VideoFile(cut).read([0, 2])
    assert [moving.number_of(frame) for frame in frames] == [0, 2]
    with pytest.raises(CorruptImage, match=rf"\d+ of its {_COUNT} frames can be read"):
        VideoFile(cut).read([0, _COUNT - 1])


def test_what_is_no_video_is_told(tmp_path):
    (tmp_path / "text.mp4").write_bytes(b"no video" * 100)
    for act in (VideoFile.count, VideoFile.seconds, lambda video: video.read([0])):
        with pytest.raises(CorruptImage, match="Invalid data"):
            act(VideoFile(tmp_path / "text.mp4"))


def test_frames_are_turned_as_the_file_says(files, tmp_path):
    data = bytearray(files["plain.mp4"].read_bytes())
    # In the track's header, after 40 bytes: the matrix that takes (1, 0) downwards.
    start = data.index(b"tkhd") + 4 + 40
    turned = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    data[start : start + len(turned)] = turned
    (tmp_path / "turned.mp4").write_bytes(data)
    (frame,) = VideoFile(tmp_path / "turned.mp4").read([20])
    (stored,) = VideoFile(files["plain.mp4"]).read([20])
    np.testing.assert_array_equal(frame, np.rot90(stored, -1))


def test_times_are_those_of_the_rate(files):
    for name in ("plain.mp4", "reordered.avi", "clip.mkv"):
        seconds = VideoFile(files[name]).seconds()
        np.testing.assert_allclose(seconds, np.arange(_COUNT) / 25, atol=1e-6)
        assert spread(seconds, 5.0) == list(range(0, _COUNT, 5))
        assert spread(seconds, 10.0)[:5] == [0, 3, 5, 8, 10]
        assert spread(seconds, 100.0) == list(range(_COUNT))


def test_without_the_package_it_is_told_what_to_install(files, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"PyAV: pip install 'ssljax\[video\]'"):
        VideoFile(files["plain.mp4"])
