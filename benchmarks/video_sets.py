"""What methods learn from videos from, and what they are asked about.

The videos are those of the TFDS set `video_clips`: its last frames are held out of each, the others
are learnt from. Frames, optical flow, tracks and masks of what moves are made first, in the output
directory.

Which video a frame is of, raw pixels tell, for the cameras stand still. So that is asked of small
windows of frames, from anywhere in them, mirrored or not, and without their colours.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil

import cv2
import numpy as np

from ssljax.tools import motion_masks, prepare_video

DATASET = "video_clips"
_PREPARED = (
    *("--image_key", "frame", "--clip_key", "clip", "--time_key", "time"),
    *("--side", "128", "--holdout", "0.2", "--gap", "8"),
    # The videos are short, and little moves in them: by the paper's rules there would be 14 tracks.
    *("--track_length", "15", "--track_every", "1", "--track_box", "0.375"),
    *("--track_moving", "0.3", "--track_least", "0.05", "--track_kept", "0.25"),
)
_LEAST = 0.02
"""Share of a frame that must move for its mask to be kept; the paper's 10 % leaves few frames."""
_CROP, _CROPS_OF_A_FRAME = 48, {"train": 2, "test": 4}
"""Side of the windows in pixels of frames, and how many there are of each frame."""
PICTURED = {"video0": 239, "video5": 168}
"""Clips in whose pictures a mask is followed, and the held-out frame where it begins."""


def home(asked: argparse.Namespace) -> pathlib.Path:
    """Where everything of the family is."""
    found: pathlib.Path = asked.out / "video"
    return found


def prepare(asked: argparse.Namespace) -> None:
    """Makes frames, flow, tracks and masks, unless they are there, and anew what is asked about.

    Raises:
      ValueError: If one of the programs fails.
    """
    videos, masks = home(asked) / "videos", home(asked) / "masks"
    source = ("--dataset", DATASET, "--data_dir", asked.data_dir, "--out", str(videos))
    if prepare_video.main([*source, *_PREPARED]):
        raise ValueError(f"{DATASET} could not be prepared in {videos}.")
    made = [str(videos), "--out", str(masks), f"--least={_LEAST}"]
    if not (masks / motion_masks.RECORD).exists() and motion_masks.main(made):
        raise ValueError(f"No masks could be made of {videos}.")
    cut_crops(videos / "frames", home(asked) / "crops")
    _start_masks(masks / "test", videos / "frames/test", home(asked) / "first_masks")


def cut_crops(frames: pathlib.Path, out: pathlib.Path) -> None:
    """Cuts grey windows from frames, at random places, every other one mirrored."""
    shutil.rmtree(out, ignore_errors=True)
    rng = np.random.default_rng(0)
    for split, count in _CROPS_OF_A_FRAME.items():
        for file in sorted((frames / split).rglob("*.jpg")):
            image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            assert image is not None
            place = out / split / file.relative_to(frames / split).parent
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                top, left = (rng.integers(length - _CROP + 1) for length in image.shape)
                crop = image[top : top + _CROP, left : left + _CROP]
                crop = crop[:, ::-1] if rng.random() < 0.5 else crop
                cv2.imwrite(str(place / f"{file.stem}_{number}.png"), crop)


def _start_masks(masks: pathlib.Path, frames: pathlib.Path, out: pathlib.Path) -> None:
    """Puts frames of clips as DAVIS has them, every one with the mask of the first."""
    shutil.rmtree(out, ignore_errors=True)
    for video, first in PICTURED.items():
        stored = cv2.imread(str(masks / f"masks/{video}/{first:05d}.png"), cv2.IMREAD_GRAYSCALE)
        assert stored is not None
        images, labels = (out / kind / "480p" / video for kind in ("JPEGImages", "Annotations"))
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for file in sorted((frames / video).glob("*.jpg")):
            if int(file.stem) >= first:
                shutil.copy(file, images)
                cv2.imwrite(str(labels / f"{file.stem}.png"), np.uint8(stored == 1))
