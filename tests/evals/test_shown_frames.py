"""Frames of masked videos: their labels, and what is told of those that are of no use."""

import types

import cv2
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import data
from ssljax.errors import UserError
from ssljax.evals import shown_frames
from ssljax.evals.contract import Run

RUN = object.__new__(Run)  # With all that is read of it.
RUN.config = ConfigDict({"propagation": {"batch_size": 2}})
RUN.experiment = types.SimpleNamespace(config=ConfigDict({"data": {"channels": 3, "range": ()}}))
RUN.mesh = types.SimpleNamespace(size=1)


def png(values, dtype=np.uint8):
    return cv2.imencode(".png", np.array(values, dtype))[1].tobytes()


def shown(*masks, frames=None):
    """The frames of a video, of which these are the masks, encoded or as rows of one pixel each."""
    masks = [x if isinstance(x, bytes) else png([x]) for x in masks]
    frames = frames or [png([[9, 9, 9]])] * len(masks)
    read = list(zip(frames, masks, strict=True))
    video = data.MaskedVideo("walk", len(masks), read.__getitem__)
    return [list(some) for some in shown_frames.batches(RUN, video)]


def labels(*masks):
    return [frame.labels[0].tolist() for some in shown(*masks) for frame in some]


def test_objects_are_those_of_the_first_mask():
    assert labels([0, 9, 4], [4, 3, 9], [0, 0, 0]) == [[0, 2, 1], [1, 0, 2], [0, 0, 0]]
    assert [len(some) for some in shown(*[[0, 9, 4]] * 5)] == [2, 2, 1]
    assert [x.kinds for some in shown([0, 9, 4]) for x in some] == [3]


def test_255_is_the_object_of_a_first_mask_of_two_numbers_and_the_void_of_others():
    assert labels([0, 255, 0], [255, 0, 0]) == [[0, 1, 0], [1, 0, 0]]
    # All but void is out of sight for a while.
    assert labels([0, 1, 255], [0, 255, 255], [255, 0, 1]) == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("masks", "frames", "told"),
    [
        ([[0, 1, 0], b"no PNG"], None, "The mask of frame 1 of walk is corrupt .*: mend it, or"),
        ([[0, 1, 0]], [b"no PNG"], "Frame 0 of walk is corrupt .*: mend it, or leave the video"),
        ([[0, 1, 0], png(np.zeros((1, 3, 3)))], None, "Frame 1 of walk has a mask"),
        ([[0, 1, 0], [0, 1]], None, "The mask of frame 1 of walk has 1x2 pixels, and frame 1 has"),
        (
            [[0, 1, 0], [0, 1]],
            [png([[9, 9, 9]]), png([[9, 9]])],
            "The mask of frame 1 of walk has 1x2 pixels, and the first mask has 1x3",
        ),
        ([[0, 0, 0]], None, "The first mask of walk shows no object to follow"),
        ([[0, 1, 255], [0, 255, 0], b""], None, "The mask of frame 2 of walk is corrupt"),
    ],
)
def test_what_is_of_no_use_is_told_with_video_and_frame(masks, frames, told):
    with pytest.raises(UserError, match=told):
        shown(*masks, frames=frames)
