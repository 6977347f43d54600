"""Masks beside images, and clips of frames, in folders."""

import contextlib

import cv2
import numpy as np
import pytest

from ssljax.data import Loader, Parts, fingerprint, load_all, open_source
from ssljax.errors import UserError

_SIDE = 16


def _write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values)


def _pair(seed):
    """A light rectangle on black, of the class that its seed gives, and its mask."""
    generator = np.random.default_rng(seed)
    top, left = generator.integers(0, 8, 2)
    mask = np.zeros((_SIDE, 2 * _SIDE), np.uint8)
    mask[top : top + 8, left + 8 : left + 16] = 1 + seed % 3
    image = np.where(mask > 0, 50 + 10 * seed, 0).astype(np.uint8)
    return np.repeat(image[:, :, None], 3, axis=2), mask


@pytest.fixture(params=["flat", "splits within", "splits above"])
def pairs(request, tmp_path):
    """Eight pairs in each of the layouts."""
    for k in range(8):
        image, mask = _pair(k)
        for kind, values in (("images", image), ("masks", mask)):
            inner = {
                "flat": tmp_path / kind,
                "splits within": tmp_path / "train" / kind,
                "splits above": tmp_path / kind / "train",
            }[request.param]
            _write(inner / f"scan_{k}.png", values)
            if request.param == "splits within":
                _write(tmp_path / "test" / kind / "other.png", values)
            if request.param == "splits above":
                _write(tmp_path / kind / "test" / "other.png", values)
    return tmp_path


def test_a_folder_of_images_and_masks_gives_aligned_pairs(pairs):
    source = open_source("folder", "train", pairs, parts=Parts(mask_classes=4))
    assert (len(source), source.num_classes) == (8, None)
    loader = Loader(source, batch_size=8, seed=1, image_size=8, channels=1, threads=0)
    with contextlib.closing(loader.iterate()) as batches:
        batch = next(batches)
    images, masks = batch["image"][:, 0, ..., 0], batch["mask"][:, 0]
    assert (masks.dtype, masks.shape) == (np.int32, (8, 8, 8))
    for image, mask, index in zip(images, masks, batch["index"][:, 0], strict=True):
        k = int(source.describe(int(index))[-5])
        light = image == 50 + 10 * k
        assert (mask[light] == 1 + k % 3).all()
        assert (mask[image == 0] == 0).all()
        assert light.any()


def test_pairs_are_whole_with_padding_and_void_around(pairs):
    source = open_source("folder", "train", pairs)
    arrays = load_all(source, image_size=32, channels=3, resize="pad")
    for mask, i in zip(arrays["mask"], range(8), strict=True):
        k = int(source.describe(i)[-5])
        np.testing.assert_array_equal(mask[8:24], _pair(k)[1])
        assert (mask[:8] == -1).all()
        assert (mask[24:] == -1).all()


def test_masks_are_part_of_what_a_set_is_made_of(pairs):
    before = fingerprint(open_source("folder", "train", pairs))
    file = next(pairs.glob("**/masks/**/scan_3.png"))
    _write(file, np.random.default_rng(0).integers(0, 3, (_SIDE, 2 * _SIDE), np.uint8))
    assert fingerprint(open_source("folder", "train", pairs)) != before


def test_classes_of_images_with_masks(tmp_path):
    for k, name in enumerate(("cat", "dog")):
        for kind, values in zip(("images", "masks"), _pair(k), strict=True):
            _write(tmp_path / kind / name / "1.png", values)
    source = open_source("folder", "train", tmp_path)
    assert source.class_names == ("cat", "dog")
    arrays = load_all(source, image_size=8, channels=3)
    assert [int(mask.max()) for mask in arrays["mask"]] == [1 + x for x in arrays["label"]]


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_missing_half_is_told(tmp_path, kind):
    for k in range(3):
        for name, values in zip(("images", "masks"), _pair(k), strict=True):
            _write(tmp_path / name / f"{k}.png", values)
    (tmp_path / kind / "1.png").unlink()
    with pytest.raises(UserError, match=rf"/{kind} has no counterpart of '1' in .*each image"):
        open_source("folder", "train", tmp_path)


def test_two_images_of_one_name_are_told(tmp_path):
    for name, values in zip(("images", "masks"), _pair(0), strict=True):
        _write(tmp_path / name / "0.png", values)
    _write(tmp_path / "images" / "0.bmp", _pair(0)[0])
    with pytest.raises(UserError, match="several files '0' with different endings"):
        open_source("folder", "train", tmp_path)


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (np.zeros((_SIDE, _SIDE), np.uint8), "0.png has a mask of 16x16 pixels, .* has 16x32"),
        (np.full((_SIDE, 2 * _SIDE), 9, np.uint8), "0.png has outside the void 255 the number 9,"),
    ],
)
def test_a_mask_that_does_not_fit_is_told(tmp_path, mask, told):
    _write(tmp_path / "images" / "0.png", _pair(0)[0])
    _write(tmp_path / "masks" / "0.png", mask)
    source = open_source("folder", "train", tmp_path, parts=Parts(mask_classes=4))
    with pytest.raises(UserError, match=told):
        load_all(source, image_size=8, channels=3)


def _video(folder, count, shade):
    for k in range(count):
        _write(folder / f"{k}.png", np.full((8, 8, 3), shade + k, np.uint8))


def test_folders_of_frames_are_cut_into_clips(tmp_path):
    _video(tmp_path / "b", 13, 100)
    _video(tmp_path / "a", 4, 50)
    _video(tmp_path / "c", 3, 0)
    source = open_source("folder", "train", tmp_path, parts=Parts(frames=4))
    assert (len(source), source.num_classes) == (4, None)
    assert "4 clips, no labels" in source.summary()
    assert "1 video of 3 frames is shorter than a clip of 4 frames and left out" in source.summary()
    clips = load_all(source, image_size=8, channels=1)["clip"]
    assert clips.shape == (4, 4, 8, 8, 1)
    # "10.png" comes after "9.png", and the thirteenth frame is left out.
    starts = {tuple(clip[:, 0, 0, 0]) for clip in clips}
    assert starts == {tuple(range(s, s + 4)) for s in (50, 100, 104, 108)}


def test_the_classes_of_videos_are_the_first_level_folders(tmp_path):
    for k, name in enumerate(("jump", "run")):
        for take in range(3):
            _video(tmp_path / name / f"take{take}", 2, 100 * k)
    source = open_source("folder", "train", tmp_path, parts=Parts(frames=2))
    assert source.class_names == ("jump", "run")
    arrays = load_all(source, image_size=8, channels=3)
    assert (arrays["clip"][:, 0, 0, 0, 0] == 100 * arrays["label"]).all()
    assert source.read_labels(range(6)) == arrays["label"].tolist()


def test_a_part_of_the_videos_shares_none_with_the_rest(tmp_path):
    for k in range(10):
        _video(tmp_path / f"v{k}", 4, 20 * k)
    parts = Parts(frames=2)
    first = open_source("folder", "train[:50%]", tmp_path, parts=parts)
    rest = open_source("folder", "train[50%:]", tmp_path, parts=parts)
    videos = [{source.describe(i).split("/")[-2] for i in range(10)} for source in (first, rest)]
    assert [len(v) for v in videos] == [5, 5]
    assert not videos[0] & videos[1]


def test_no_video_of_enough_frames_is_told(tmp_path):
    _video(tmp_path / "a", 3, 0)
    with pytest.raises(UserError, match=r"no video of 4 frames among its 1 videos"):
        open_source("folder", "train", tmp_path, parts=Parts(frames=4))
