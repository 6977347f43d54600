"""Videos are prepared as a whole, again after a kill, and without those that cannot be read."""

import json

import cv2
import moving
import numpy as np
import pytest

from ssljax.data import Parts, decode_flow, load_all, open_source
from ssljax.errors import UserError
from ssljax.tools import prepare_video
from ssljax.tools.video_output import check_names

_TRACKS = ["--track_length=6", "--track_every=2", "--track_box=0.4", "--track_least=0.02"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A scene as a file, and another as frames, each of 20 frames."""
    folder = tmp_path_factory.mktemp("videos")
    frames, _ = moving.scene(20, (1, 0), (-1, 0))
    moving.write_video(folder / "park" / "a.mp4", frames)
    frames, _ = moving.scene(20, (0, 1), (2, 0))
    moving.write_frames(folder / "street" / "b", frames)
    return folder


def _run(*arguments, status=0):
    assert prepare_video.main([*map(str, arguments), "--jobs=1"]) == status


def _content(directory):
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in sorted(directory.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def prepared(videos, tmp_path_factory):
    directory = tmp_path_factory.mktemp("out") / "prepared"
    _run(videos, "--out", directory, "--side=64", "--holdout=0.4", "--gap=2", *_TRACKS)
    return directory


def test_splits_are_of_the_beginning_and_the_end_of_each_video(prepared):
    for name in ("park/a", "street/b"):
        for split, first, last in (("train", 0, 11), ("test", 14, 19)):
            frames = sorted((prepared / "frames" / split / name).iterdir())
            assert [file.name for file in frames] == [
                f"{k:05d}.jpg" for k in range(first, last + 1)
            ]
            assert cv2.imread(str(frames[0])).shape == (64, 85, 3)
            flows = sorted((prepared / "flow" / split / name).iterdir())
            assert [file.name for file in flows] == [f"{k:05d}.png" for k in range(first, last)]


def test_flow_is_in_pixels_of_the_frames_that_are_written(prepared):
    flow = decode_flow((prepared / "flow/train/street/b/00003.png").read_bytes())
    assert flow.shape == (64, 85, 2)
    # The ground moves by one of 96 rows, and frames have 64.
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [0, 64 / 96], atol=0.1)


def test_pairs_are_clips_whose_classes_are_folders_of_videos(prepared):
    source = open_source("folder", "train", prepared / "tracks", parts=Parts(frames=2))
    assert source.class_names == ("park", "street")
    assert len(source) >= 4
    clips = load_all(source, image_size=26, channels=3)["clip"]
    assert clips.shape[1:] == (2, 26, 26, 3)
    # Both patches show the square: they are much more alike than those of two videos.
    across = np.abs(clips[:, 0].astype(int) - np.roll(clips[:, 1], 2, axis=0)).mean()
    assert np.abs(clips[:, 0].astype(int) - clips[:, 1]).mean() < across


def test_motion_is_read_with_the_frames(prepared):
    table = (prepared / "frames" / "motion.csv").read_text().splitlines()
    assert table[0] == "frame,motion"
    assert len(table) == 1 + 2 * (11 + 5)
    means = {name: [] for name in ("park/a", "street/b")}
    for line in table[1:]:
        file, score = line.split(",")
        means[file.split("/", 1)[1].rsplit("/", 1)[0]].append(float(score))
    # Of 64 x 85 pixels 16 x 16 move, by 2 and by the root of 5 pixels before they are reduced.
    for name, speed in (("park/a", 2.0), ("street/b", 5**0.5)):
        expected = 16 * 16 / (64 * 85) * speed * 64 / 96
        np.testing.assert_allclose(np.mean(means[name]), expected, atol=0.05)
    parts = dict(frames=3, hop=1)
    whole = open_source("folder", "train", prepared / "frames", parts=Parts(**parts))
    half = open_source("folder", "train", prepared / "frames", parts=Parts(**parts, motion=0.5))
    assert (len(whole), len(half)) == (20, 10)


def test_a_video_that_was_interrupted_is_made_anew_and_one_that_is_done_stays(
    videos, prepared, tmp_path, capsys
):
    whole = _content(prepared)
    out = tmp_path / "out"
    for name, content in whole.items():
        # What a kill leaves of the second video: no mark that it is done, a part of its frames,
        # half of one under another name, and a table that does not know it.
        if name != "done/street/b.json" and ("street" not in name or "0000" in name):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
    (out / "frames/train/street/b/00001.jpg.tmp").write_bytes(b"half")
    stale = out / "tracks/train/street/b/00099"
    stale.mkdir(parents=True)
    (stale / "0.jpg").write_bytes(b"of another time")
    done = out / "frames/train/park/a/00000.jpg"
    before = done.stat().st_mtime_ns
    arguments = (videos, "--out", out, "--side=64", "--holdout=0.4", "--gap=2", *_TRACKS)
    _run(*arguments)
    assert "1 of 2 videos are done" in capsys.readouterr().out
    assert _content(out) == whole
    assert done.stat().st_mtime_ns == before
    _run(*arguments)
    told = capsys.readouterr().out
    assert told == "2 of 2 videos are done\n"


def test_a_stop_leaves_whole_videos_alone(videos, tmp_path, monkeypatch):
    read = prepare_video.Output._write
    written = []

    def write(self, name, content):
        written.append(name)
        if len(written) == 60:
            raise KeyboardInterrupt
        read(self, name, content)

    monkeypatch.setattr(prepare_video.Output, "_write", write)
    with pytest.raises(KeyboardInterrupt):
        _run(videos, "--out", tmp_path / "out", "--side=64", *_TRACKS)
    frames = {file.parent.name for file in (tmp_path / "out" / "frames").rglob("*.jpg")}
    done = {file.stem for file in (tmp_path / "out" / "done").rglob("*.json")}
    assert frames == done == {"a"}


def test_a_file_that_cannot_be_read_is_a_line_and_the_others_are_done(tmp_path, capsys):
    frames = moving.numbered(12, 48, 64)
    for name in "abc":
        moving.write_video(tmp_path / "videos" / f"{name}.mp4", frames, "mpeg4")
    damaged = tmp_path / "videos" / "b.mp4"
    damaged.write_bytes(damaged.read_bytes()[:-300])
    (tmp_path / "videos" / "d.mp4").write_bytes(b"")
    _run(tmp_path / "videos", "--out", tmp_path / "out", status=1)
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert lines[0].startswith("2 of 4, b: ")
    assert "frame" in lines[0]
    assert lines[0].endswith("; it is left out")
    assert lines[1].startswith("4 of 4, d: Invalid data")
    assert lines[2] == "2 of 4 videos could not be read; the others are done."
    assert len(lines) == 3
    assert [file.name for file in sorted((tmp_path / "out" / "frames" / "train").iterdir())] == [
        "a",
        "c",
    ]
    assert "1 of 4, a: 12 frames (12 + 0)" in told.out


def test_a_video_that_would_lie_within_another_is_refused(tmp_path, capsys):
    frames = moving.numbered(3)
    moving.write_frames(tmp_path / "all" / "x", frames)
    moving.write_frames(tmp_path / "all" / "x" / "y", frames)
    out = tmp_path / "out"
    _run(tmp_path / "all", "--out", out, "--parts=frames", status=2)
    assert "'x/y' would be written within the folder of the video 'x'" in capsys.readouterr().err
    assert not out.exists()
    # Nor is one removed that was done before.
    moving.write_frames(tmp_path / "deep" / "x" / "y", frames)
    moving.write_frames(tmp_path / "flat" / "x", frames)
    _run(tmp_path / "deep", "--out", out, "--parts=frames")
    before = _content(out)
    _run(tmp_path / "flat", "--out", out, "--parts=frames", status=2)
    assert "rename one of them, or use another --out" in capsys.readouterr().err
    assert _content(out) == before


@pytest.mark.parametrize("name", ["", "/etc", "../x", "x/../y", "x//y", "."])
def test_names_of_records_that_leave_the_directory_are_refused(name):
    check_names(["a", "b/c", "b/c", "b/cd", "..."])
    with pytest.raises(UserError, match="which names no folder"):
        check_names(["a", name])


def test_fewer_frames_a_second_are_taken_from_files(tmp_path):
    moving.write_video(tmp_path / "a.mp4", moving.numbered(20), "mpeg4")
    _run(tmp_path / "a.mp4", "--out", tmp_path / "out", "--fps=5", "--parts=frames")
    frames = sorted((tmp_path / "out" / "frames" / "train" / "a").iterdir())
    numbers = [moving.number_of(cv2.imread(str(file))) for file in frames]
    assert numbers == [0, 5, 10, 15]
    assert not (tmp_path / "out" / "flow").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Name videos, or a TFDS set"),
        (("{videos}", "--dataset=x"), "one of the two"),
        (("{videos}/none.mp4",), "There is no video and no folder"),
        (("{videos}", "--fps=5"), "--fps is for video files"),
        (("{videos}", "--parts=flows"), "--parts is 'flows'; it must name some of frames,flow,"),
        (("{videos}", "--holdout=1"), "--holdout is 1; it must be from 0, and below 1"),
        (("{videos}", "--track_box=2"), "--track_box is 2; it must be from 0 to 1"),
        (("{videos}/park", "{videos}/park/a.mp4"), "Several videos are called 'a'"),
        (("{videos}", "--out=gs://bucket/x"), "must lie on a disk"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(arguments, told, videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(prepare_video.paths, "is_remote", lambda path: "bucket" in str(path))
    filled = [argument.format(videos=videos) for argument in arguments]
    filled = [argument.replace("gs://bucket", str(tmp_path / "bucket")) for argument in filled]
    _run("--out", tmp_path / "out", *filled, status=2)
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "out").exists()


def test_a_directory_of_other_settings_or_of_others_is_left_alone(videos, tmp_path, capsys):
    arguments = (videos / "street" / "b", "--out", tmp_path / "out", "--parts=frames")
    _run(*arguments)
    before = _content(tmp_path / "out")
    _run(*arguments, "--side=32", status=2)
    assert "(side: 256 before, 32 now): use the same options" in capsys.readouterr().err
    assert _content(tmp_path / "out") == before
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["side"] == 256
    (tmp_path / "mine" / "frames").mkdir(parents=True)
    _run(videos, "--out", tmp_path / "mine", status=2)
    assert "was not made by this program" in capsys.readouterr().err
