"""Flow, the camera's part in it, and tracks, on scenes of known motion."""

import cv2
import moving
import numpy as np
import pytest

from ssljax.data import decode_flow, encode_flow
from ssljax.data.decode import CorruptImage
from ssljax.tools.video_motion import MotionFinder
from ssljax.tools.video_tracks import Rules, TrackMiner, busiest_box

_EDGE = 12
_RULES = Rules(length=12, every=4, box=0.375, least=0.02)


def _grey(frames):
    return [np.ascontiguousarray(frame[..., 0]) for frame in frames]


@pytest.mark.parametrize("method", ["dis", "farneback"])
def test_the_flow_of_a_shift_is_that_shift(method):
    frames, _ = moving.scene(2, camera=(3, -2), square=(3, -2))
    motion = MotionFinder(method).find(*_grey(frames))
    inner = motion.flow[_EDGE:-_EDGE, _EDGE:-_EDGE]
    np.testing.assert_allclose(np.median(inner, axis=(0, 1)), [3, -2], atol=0.1)
    assert np.mean(np.abs(inner - [3, -2]) < 0.25) > 0.95


def test_a_camera_that_moves_is_taken_out():
    for camera in ((0, 0), (3, -2)):
        square = camera[0] + 2, camera[1] + 1
        frames, corners = moving.scene(2, camera, square)
        motion = MotionFinder().find(*_grey(frames))
        (x, y), _ = corners
        inside = motion.residual[y + 6 : y + 18, x + 6 : x + 18]
        np.testing.assert_allclose(np.median(inside, axis=(0, 1)), [2, 1], atol=0.25)
        # The square is 24 x 24 pixels of 96 x 128, and moves by the root of 5.
        np.testing.assert_allclose(motion.score, 576 / (96 * 128) * 5**0.5, atol=0.06)


def test_what_leaves_the_frame_with_the_camera_is_not_counted():
    frames, _ = moving.scene(2, (10, 0), (10, 0))
    motion = MotionFinder().find(*_grey(frames))
    assert motion.inside[:, : 128 - 11].all()
    assert not motion.inside[:, 128 - 9 :].any()
    assert motion.score < 0.05


def test_without_anything_to_see_nothing_moves():
    blank = np.full((64, 64), 128, np.uint8)
    motion = MotionFinder().find(blank, blank)
    assert motion.score < 1e-6
    assert len(motion.points) == 0


def _mine(frames, rules):
    grey, finder, miner = _grey(frames), MotionFinder(), TrackMiner(rules)
    pairs = []
    for k in range(len(frames) - 1):
        motion = finder.find(grey[k], grey[k + 1])
        pairs += miner.feed(frames[k], grey[k], grey[k + 1], frames[k + 1], motion)
    return pairs


@pytest.mark.parametrize("camera", [(0, 0), (-1, 1)])
def test_tracks_follow_what_moves_and_not_the_camera(camera):
    frames, corners = moving.scene(25, camera, (1, 0))
    pairs = _mine(frames, _RULES)
    assert [pair.start for pair in pairs] == [0, 4, 8, 12]
    for pair in pairs:
        (x0, y0), (x1, y1) = pair.corners
        assert abs(x1 - x0 - 12) <= 1
        assert abs(y1 - y0) <= 1
        assert pair.first.shape == pair.last.shape == (36, 36, 3)
        np.testing.assert_array_equal(pair.first, frames[pair.start][y0 : y0 + 36, x0 : x0 + 36])
        np.testing.assert_array_equal(
            pair.last, frames[pair.start + 12][y1 : y1 + 36, x1 : x1 + 36]
        )
        # All of the square is in both patches.
        for (left, top), (x, y) in zip(
            pair.corners, (corners[pair.start], corners[pair.start + 12]), strict=True
        ):
            assert left - 2 <= x <= left + 36 - 24 + 2
            assert top - 2 <= y <= top + 36 - 24 + 2


@pytest.mark.parametrize(
    "change", [{"least": 0.9, "most": 1.0}, {"least": 0.0, "most": 0.01}, {"moving": 5.0}]
)
def test_frames_in_which_too_few_or_too_many_points_move_begin_nothing(change):
    frames, _ = moving.scene(16, (0, 0), (1, 0))
    assert _mine(frames, _RULES)
    assert not _mine(frames, Rules(**{**vars(_RULES), **change}))


def test_patches_keep_their_distance_from_the_border():
    # The square leaves the frame: it touches the border in the twelfth frame.
    frames, _ = moving.scene(30, (0, 0), (-1, 0), start=(40, 36))
    whole = _mine(frames, Rules(**{**vars(_RULES), "border": 0}))
    kept = _mine(frames, Rules(**{**vars(_RULES), "border": 16}))
    assert min(corner[0] for pair in whole for corner in pair.corners) < 16
    for corner in (corner for pair in kept for corner in pair.corners):
        assert 16 <= corner[0] <= 128 - 36 - 16
        assert 16 <= corner[1] <= 96 - 36 - 16
    assert len(kept) < len(whole)


def test_the_busiest_box_holds_the_most_points():
    cluster = [(20, 10), (22, 12), (24, 11), (25, 14), (21, 15)]
    points = np.array([*cluster, (60, 40), (61, 41)], np.float32)
    left, top = busiest_box(points, (48, 64), side=8, border=1)
    assert all(left <= x < left + 8 and top <= y < top + 8 for x, y in cluster)
    assert busiest_box(points[:3], (48, 64), side=8, border=1) is None
    assert busiest_box(points, (48, 64), side=48, border=1) is None
    # Nothing at the border is taken.
    edge = np.array([(0, k) for k in range(6)], np.float32)
    assert busiest_box(edge, (48, 64), side=8, border=1) is None
    assert busiest_box(edge, (48, 64), side=8, border=0) == (0, 0)


def test_flow_is_stored_as_kitti_stores_it():
    flow = np.random.default_rng(0).normal(0, 40, (5, 7, 2)).astype(np.float32)
    data = encode_flow(flow)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).astype(np.float64)
    blue, green, red = np.moveaxis(stored, 2, 0)
    np.testing.assert_allclose((red - 2**15) / 64, flow[..., 0], atol=1 / 128)
    np.testing.assert_allclose((green - 2**15) / 64, flow[..., 1], atol=1 / 128)
    assert (blue == 1).all()
    np.testing.assert_allclose(decode_flow(data), flow, atol=1 / 128)
    far = np.full((1, 1, 2), [600.0, -600.0], np.float32)
    np.testing.assert_allclose(decode_flow(encode_flow(far))[0, 0], [512, -512], atol=0.1)
    with pytest.raises(CorruptImage, match="no flow"):
        decode_flow(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
