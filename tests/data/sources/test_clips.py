"""Windows on videos in folders: where they begin, and what becomes of those that cannot be read."""

import contextlib
import logging

import moving
import numpy as np
import pytest

from ssljax.data import FewLabels, Loader, Parts, Subset, fingerprint, load_all, open_source
from ssljax.errors import UserError


def _starts(source):
    """Numbers of the frames of each clip."""
    clips = load_all(source, image_size=32, channels=3)["clip"]
    return [[moving.number_of(frame) for frame in clip] for clip in clips]


@pytest.fixture
def folder(tmp_path):
    """One video of 11 numbered frames."""
    moving.write_frames(tmp_path / "videos" / "a", moving.numbered(11))
    return tmp_path / "videos"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (Parts(frames=3), [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        (Parts(frames=3, stride=2), [[0, 2, 4], [5, 7, 9]]),
        (Parts(frames=3, stride=4, hop=1), [[0, 4, 8], [1, 5, 9], [2, 6, 10]]),
        (Parts(frames=2, hop=4), [[0, 1], [4, 5], [8, 9]]),
        (Parts(frames=1, hop=5), [[0], [5], [10]]),
    ],
)
@pytest.mark.parametrize("kind", ["frames", "file"])
def test_clips_begin_where_stride_and_hop_say(parts, expected, kind, folder):
    if kind == "file":
        folder = folder.parent / "files"
        moving.write_video(folder / "a.mp4", moving.numbered(11))
    assert _starts(open_source("folder", "train", folder, parts=parts)) == expected


def test_files_and_folders_of_frames_are_videos_of_their_classes(tmp_path):
    for name in ("jump/a.mp4", "run/b.mp4"):
        moving.write_video(tmp_path / name, moving.numbered(4))
    moving.write_frames(tmp_path / "run" / "c", moving.numbered(2))
    source = open_source("folder", "train", tmp_path, parts=Parts(frames=2))
    assert source.class_names == ("jump", "run")
    held = {source.holder(i): source.read_labels([i])[0] for i in range(len(source))}
    assert held == {
        f"The video {tmp_path / 'jump' / 'a.mp4'}": 0,
        f"The video {tmp_path / 'run' / 'b.mp4'}": 1,
        f"The video {tmp_path / 'run' / 'c'}": 1,
    }
    assert "5 clips, 2 classes; 3 videos" in source.summary()


def test_a_track_is_of_the_video_whose_folder_it_lies_in_whatever_its_class(tmp_path):
    for name in ("jump/v/00003", "jump/v/00007", "jump/w/00001", "run/v/00002"):
        moving.write_frames(tmp_path / "deep" / name, moving.numbered(2))
        moving.write_frames(tmp_path / "flat" / name.replace("/", "_"), moving.numbered(2))
        moving.write_frames(tmp_path / "plain" / name.rpartition("/")[0], moving.numbered(6))
    moving.write_video(tmp_path / "plain" / "run" / "x.avi", moving.numbered(2), "mpeg4")

    def videos(place):
        source = open_source("folder", "train", tmp_path / place, parts=Parts(frames=2))
        assert source.fields["video"].dtype == np.int32
        numbers = load_all(source, image_size=32, channels=3)["video"].tolist()
        found = {}
        for row, number in enumerate(numbers):
            name = source.holder(row).partition(f"{place}/")[2]
            assert found.setdefault(name, number) == number
        return source, found

    source, deep = videos("deep")
    assert source.class_names == ("jump", "run")
    assert deep == {"jump/v/00003": 0, "jump/v/00007": 0, "jump/w/00001": 1, "run/v/00002": 2}
    # As the numbers of the classes where folders of videos are the first level.
    source, single = videos("deep/jump")
    assert single == {"v/00003": 0, "v/00007": 0, "w/00001": 1}
    assert [source.read(i)["video"] for i in range(3)] == source.read_labels(range(3))
    assert sorted(videos("flat")[1].values()) == [0, 1, 2, 3]
    # What is longer than a clip is a video, as are files.
    assert videos("plain")[1] == {"jump/v": 0, "jump/w": 1, "run/v": 2, "run/x.avi": 3}


def test_splits_hold_files(tmp_path):
    for split, count in (("train", 4), ("test", 2)):
        moving.write_video(tmp_path / split / "a.avi", moving.numbered(count), "mpeg4")
    sizes = [
        len(open_source("folder", s, tmp_path, parts=Parts(frames=2))) for s in ("train", "test")
    ]
    assert sizes == [2, 1]


def test_clips_are_kept_where_most_moves(folder):
    # Of the clips from 0, 2, 4 and 6 with frames 2 apart, motion over 4 steps sums to
    # 0.25 (1 + 2 + 3 + 9), 0.25 (3 + 9 + 0 + 0), 0.25 (0 + 0 + 5 + 5), 0.25 (5 + 5 + 1 + 1).
    scores = [1, 2, 3, 9, 0, 0, 5, 5, 1, 1]
    top = folder.parent / "prepared"
    (top / "train").mkdir(parents=True)
    (folder / "a").rename(top / "train" / "a")
    rows = [f"train/a/{k:05d}.png,{score}" for k, score in enumerate(scores)]
    (top / "motion.csv").write_text("\n".join(["frame,motion", *rows]))
    parts = dict(frames=3, stride=2, hop=2)
    kept = {}
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        source = open_source("folder", "train", top, parts=Parts(**parts, motion=part))
        kept[part] = [clip[0] for clip in _starts(source)]
    whole = [0, 2, 4, 6]
    assert kept == {0.0: whole, 0.25: [0], 0.5: [0, 2], 0.75: [0, 2, 6], 1.0: whole}


def test_motion_that_is_not_known_is_told(folder):
    parts = Parts(frames=2, motion=0.5)
    with pytest.raises(
        UserError, match=r"no .*motion.csv, which config.data.motion needs: prepare"
    ):
        open_source("folder", "train", folder, parts=parts)
    (folder / "motion.csv").write_text("frame,motion\na/00000.png,1.0\n")
    with pytest.raises(UserError, match=r"motion.csv does not know a/00001.png: prepare"):
        open_source("folder", "train", folder, parts=parts)
    (folder / "motion.csv").write_text("frame,motion\na/00000.png,much\n")
    with pytest.raises(UserError, match=r"motion.csv is damaged \(.*'much'\)"):
        open_source("folder", "train", folder, parts=parts)


def test_videos_that_are_too_short_are_told(tmp_path):
    for name, count in (("a", 9), ("b", 3), ("c", 7)):
        moving.write_frames(tmp_path / name, moving.numbered(count))
    parts = Parts(frames=3, stride=4)
    source = open_source("folder", "train", tmp_path, parts=parts)
    told = (
        "2 videos of 3 to 7 frames are shorter than a clip of 3 frames (9 with its stride) and left"
    )
    assert told in source.summary()


def _ten(tmp_path, damage):
    """Nine files of eight frames, and one of forty that is damaged."""
    for k in range(10):
        count = 40 if k == 2 else 8
        path = moving.write_video(tmp_path / f"{k}.mp4", moving.numbered(count), "mpeg4")
        if k == 2:
            data = path.read_bytes()
            path.write_bytes({"cut": data[: len(data) * 7 // 10], "no video": b"x"}[damage])
    return open_source("folder", "train", tmp_path, parts=Parts(frames=2))


@pytest.mark.parametrize(("damage", "left"), [("cut", range(1, 20)), ("no video", [0])])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_corrupt_video_among_ten_is_told_once_and_left_out(
    damage, left, wrapped, tmp_path, caplog
):
    source = _ten(tmp_path, damage)
    if wrapped:
        source = FewLabels(Subset(source, np.arange(len(source))), np.arange(0))
    name = f"The video {tmp_path / '2.mp4'}"
    with caplog.at_level(logging.WARNING):
        arrays = load_all(source, image_size=32, channels=3, max_corrupt=1)
    assert len(arrays["clip"]) - 36 in left
    told = [record.message for record in caplog.records if "corrupt" in record.message]
    assert len(told) == 1
    assert told[0].startswith(f"{name} is corrupt and left out: ")
    loader = Loader(
        source, batch_size=len(source), seed=0, image_size=32, channels=3, max_corrupt=1
    )
    with contextlib.closing(loader.iterate()) as batches:
        clips = next(batches)["clip"]
    assert len(clips) == len(source)
    assert loader.corrupt == [name]
    half = slice(len(source) // 2, None)
    other = Loader(
        source, batch_size=len(source), rows=half, seed=0, image_size=32, channels=3, max_corrupt=1
    )
    with contextlib.closing(other.iterate()) as batches:
        np.testing.assert_array_equal(next(batches)["clip"], clips[half])
    with pytest.raises(UserError, match=r"1 corrupt image, but .* allows 0 \(The video .*2\.mp4\)"):
        load_all(source, image_size=32, channels=3)


def test_a_corrupt_frame_spoils_the_clips_that_hold_it(folder):
    (folder / "a" / "00004.png").write_bytes(b"no image")
    moving.write_frames(folder / "b", moving.numbered(4))
    source = open_source("folder", "train", folder, parts=Parts(frames=3, hop=1))
    clips = load_all(source, image_size=32, channels=3, max_corrupt=1)["clip"]
    firsts = sorted(moving.number_of(clip[0]) for clip in clips)
    assert firsts == [0, 0, 1, 1, 5, 6, 7, 8]


def test_what_changes_the_clips_changes_the_fingerprint(folder):
    def digest(**parts):
        return fingerprint(open_source("folder", "train", folder, parts=Parts(frames=2, **parts)))

    before = digest()
    assert digest() == before
    assert digest(hop=1)["digest"] != before["digest"]
    # As many clips, elsewhere.
    assert len({digest(hop=h)["digest"] for h in (9, 10)}) == 2
    (folder / "a" / "00010.png").write_bytes(b"")
    assert digest() != before
