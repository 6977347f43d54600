"""Masks of what moves: the camera's motion, what regions agree on, what is kept, and the files."""

import json

import cv2
import numpy as np
import pytest

from ssljax import data
from ssljax.data.flow_files import encode_flow
from ssljax.tools import motion_masks, motion_voting
from ssljax.tools.motion_voting import VOID, Recipe

SIDE = 64
PART = slice(16, 48), slice(16, 48)
"""Where the thing is: a quarter of the frame."""


def film(count=6):
    """A bright thing on a dark rough ground, of whose left half alone the motion is seen."""
    rng = np.random.default_rng(0)
    frame = rng.integers(20, 60, (SIDE, SIDE, 3)).astype(np.uint8)
    frame[PART] = rng.integers(200, 240, (32, 32, 3))
    flow = np.zeros((SIDE, SIDE, 2), np.float32)
    flow[PART[0], 16:32] = (3.0, 0.0)
    return np.stack([frame] * count), [flow] * count


def test_what_the_camera_does_is_taken_off():
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    camera = np.array([[1.02, 0.01, 3.0], [-0.01, 1.01, -2.0], [1e-4, 0.0, 1.0]])
    places = np.stack([x, y, np.ones_like(x)], axis=-1) @ camera.T
    flow = places[..., :2] / places[..., 2:] - np.stack([x, y], axis=-1)
    flow[8:24, 8:24] += (3.0, -4.0)
    wanted = np.zeros((SIDE, SIDE))
    wanted[8:24, 8:24] = 5.0
    np.testing.assert_allclose(motion_voting.own_motion(flow), wanted, atol=0.05)


def test_a_region_that_looks_like_what_moves_is_heard():
    frames, flows = film()
    agreed, moved = motion_voting.votes(frames, flows, Recipe(place=0.4, rounds=40))
    assert agreed.shape == (6, SIDE // 4, SIDE // 4)
    assert agreed.max(axis=(1, 2)) == pytest.approx(1.0)
    np.testing.assert_allclose(moved[0, 4:12, 4:8], 3.0, atol=0.1)
    still, ground = agreed[:, 5:11, 9:11], agreed[:, :, :2]  # The thing's right half.
    assert moved[:, 5:11, 9:11].max() < 0.1
    assert still.min() > 0.05 > 20 * ground.max()
    alone, _ = motion_voting.votes(frames, flows, Recipe(rounds=0))
    assert alone[:, 5:11, 9:11].max() < 0.1


def test_the_filter_is_linear_in_the_guide_and_keeps_its_edges():
    rng = np.random.default_rng(0)
    guide = np.where(np.arange(32) < 16, 0.0, 1.0)[None].repeat(32, axis=0).astype(np.float32)
    np.testing.assert_allclose(
        motion_voting.guided_filter(guide, 2 * guide + 1, 4, noise=1e-3), 2 * guide + 1, atol=1e-3
    )
    noisy = (guide + rng.normal(0, 0.1, guide.shape)).astype(np.float32)
    smooth = motion_voting.guided_filter(guide, noisy, 4)
    assert np.abs(smooth - guide).max() < 0.1
    flat = motion_voting.guided_filter(np.zeros_like(guide), guide, 4)
    # Without edges in the guide it is a mean of means.
    np.testing.assert_allclose(flat, cv2.blur(cv2.blur(guide, (9, 9)), (9, 9)), atol=1e-5)


def test_votes_between_the_thresholds_and_small_parts_are_void():
    frame = np.full((SIDE, SIDE, 3), 100, np.uint8)
    agreed = np.zeros((16, 16), np.float32)
    agreed[2:12, 2:12] = 1.0
    agreed[13:15, 13:15] = 1.0
    recipe = Recipe(cell=1)
    mask = motion_voting.mask_of(frame, agreed, recipe)
    assert set(np.unique(mask)) == {0, 1, VOID}
    assert mask[20, 20] == 1
    assert mask[4, 60] == 0
    assert mask[56, 56] != 1
    assert motion_voting.mask_of(frame, agreed, Recipe(cell=1, blob=0.0))[56, 56] == 1


def test_what_is_left_out_has_its_reason():
    votes, far = np.ones((4, 4)), np.full((4, 4), 2.0)

    def why(*moving, void=0, moved=far, **numbers):
        mask = np.zeros((40, 40), np.uint8)
        mask[:void] = VOID
        for rows, columns in moving:
            mask[rows, columns] = 1
        return motion_voting.why_left_out(mask, votes, moved, Recipe(**numbers))

    third = slice(8, 30), slice(8, 30)
    assert why(third) == ""
    assert why(third, moved=far / 8) == "still"
    assert why((slice(8, 12), slice(8, 30))) == "small"  # 5.5 % of the frame.
    assert why((slice(8, 12), slice(8, 30)), least=0.05) == ""
    assert why((slice(0, 40), slice(0, 34))) == "large"
    assert why((slice(0, 30), slice(0, 20))) == "border"
    assert why((slice(28, 38), slice(4, 36)), void=18) == "unsure"


def prepared(directory):
    frames, flows = film()
    for split in ("train", "test"):
        for number, (frame, flow) in enumerate(zip(frames, flows, strict=True)):
            for kind, name, content in (
                (
                    "frames",
                    f"{number:05d}.png",
                    cv2.imencode(".png", frame[..., ::-1])[1].tobytes(),
                ),
                ("flow", f"{number:05d}.png", encode_flow(flow)),
            ):
                file = directory / kind / split / "a" / "thing" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                if kind == "frames" or number < 5:
                    file.write_bytes(content)
    return directory


def test_frames_and_masks_are_written_as_a_folder_of_masks_is_read(tmp_path, capsys):
    videos, out = prepared(tmp_path / "videos"), tmp_path / "masks"
    assert motion_masks.main([str(videos), "--out", str(out), "--least=0.05"]) == 0
    assert "test: 5 kept; train: 5 kept" in capsys.readouterr().out
    record = json.loads((out / motion_masks.RECORD).read_text())
    assert record["frames"] == {"test": {"kept": 5}, "train": {"kept": 5}}
    assert record["recipe"]["least"] == 0.05
    source = data.open_source(
        "folder", "train", data_dir=str(out), parts=data.Parts(mask_classes=2)
    )
    loaded = data.load_all(source, image_size=SIDE, channels=3)
    assert len(source) == 5
    assert np.all(loaded["mask"][:, 20:44, 18:30] == 1)
    assert np.all(loaded["mask"][:, :, :8] == 0)
    first = cv2.imread(str(videos / "frames/train/a/thing/00000.png"))[..., ::-1]
    assert any(np.array_equal(image, first) for image in loaded["image"])
    assert motion_masks.main([str(videos), "--out", str(out)]) == 2
    assert "is there already, and not empty" in capsys.readouterr().err


def test_a_long_video_is_told_in_parts_that_hear_their_neighbours(monkeypatch):
    monkeypatch.setattr(motion_masks, "_TOGETHER", 4)
    monkeypatch.setattr(motion_masks, "_BESIDE", 2)
    for count in (1, 5, 6, 7, 8, 9, 21):
        told = []
        for heard, own in motion_masks._parts(count):
            frames = range(count)[heard]
            assert len(frames) <= 8
            mine = frames[own]
            assert frames[0] == max(0, mine[0] - 2)
            assert frames[-1] == min(count - 1, mine[-1] + 2)
            told += mine
        assert told == list(range(count))
    assert len(list(motion_masks._parts(6))) == 1


def test_what_was_interrupted_goes_on_and_is_what_it_would_have_been(tmp_path, monkeypatch):
    monkeypatch.setattr(motion_masks, "_TOGETHER", 2)
    monkeypatch.setattr(motion_masks, "_BESIDE", 1)
    videos, out = prepared(tmp_path / "videos"), tmp_path / "masks"
    command = [str(videos), "--least=0.05", "--out"]
    assert motion_masks.main([*command, str(tmp_path / "whole")]) == 0
    votes, heard = motion_voting.votes, []

    def stopping(frames, flows, recipe):
        heard.append(len(frames))
        if len(heard) == 5:  # In the middle of the second video.
            raise KeyboardInterrupt
        return votes(frames, flows, recipe)

    monkeypatch.setattr(motion_voting, "votes", stopping)
    with pytest.raises(KeyboardInterrupt):
        motion_masks.main([*command, str(out)])
    assert motion_masks.main([str(videos), "--least=0.1", "--out", str(out)]) == 2
    assert motion_masks.main([*command, str(out)]) == 0
    assert heard == [3, 4, 2, 3, 4, 3, 4, 2]
    content, wanted = (
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*") if file.is_file()}
        for root in (out, tmp_path / "whole")
    )
    assert content == wanted


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--least=0.6"], "No frame of .* is kept (test: 5 small; train: 5 small): lower --least"),
        (["--above=1.5"], "--above is 1.5; it must be from 0 to 1."),
        (["--motion=-1"], "--motion is -1.0; it must be 0 or more."),
        (["--below=0.9"], "--below is 0.9, which is more than --above 0.5."),
    ],
)
def test_what_cannot_be_done_is_told(options, told, tmp_path, capsys):
    videos = prepared(tmp_path / "videos")
    assert motion_masks.main([str(videos), "--out", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    start, _, rest = told.partition(".*")
    assert start in error
    assert rest in error


def test_missing_and_broken_files_are_told(tmp_path, capsys):
    videos = prepared(tmp_path / "videos")
    command = [str(videos), "--out", str(tmp_path / "out")]
    (videos / "flow/train/a/thing/00001.png").write_bytes(b"none")
    assert motion_masks.main(command) == 2
    assert "00001.png cannot be read as optical flow" in capsys.readouterr().err
    (videos / "frames/train/a/thing/00001.png").unlink()
    assert motion_masks.main([*command[:2], str(tmp_path / "other")]) == 2
    assert "does not belong to the frames of the same name" in capsys.readouterr().err
    assert motion_masks.main([str(tmp_path), "--out", str(tmp_path / "more")]) == 2
    assert "has no folders frames and flow" in capsys.readouterr().err
