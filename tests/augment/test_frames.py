"""Windows of frames, and what is drawn for each frame by itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.augment import (
    FramePolicy,
    ViewPolicy,
    example_keys,
    frame_views,
    frame_windows,
    frames_to_pixels,
)

PLAIN = ViewPolicy(8, crop_scale=None, flip_p=0.0)
KEY = jax.random.key(0)


def places(batch=6, frames=3, side=24):
    """Frames whose red and green are the row and the column of each pixel."""
    rows, columns = np.mgrid[:side, :side].astype(np.uint8)
    frame = np.stack([rows, columns, np.zeros_like(rows)], axis=-1)
    return jnp.asarray(np.broadcast_to(frame, (batch, frames, side, side, 3)))


def test_windows_lie_about_one_place_of_a_clip_and_never_on_the_border():
    policy = FramePolicy(PLAIN, jitter=2, border=3)
    boxes = np.asarray(frame_windows(example_keys(KEY, 400), policy, 5, 24, 20))
    top, left = boxes[..., 0], boxes[..., 1]
    assert np.all(boxes[..., 2:] == 8)
    # From the border to where a window of 8 ends before the other border, all places are met.
    assert (top.min(), top.max(), left.min(), left.max()) == (3, 24 - 3 - 8, 3, 20 - 3 - 8)
    moved = np.ptp(top, axis=1), np.ptp(left, axis=1)
    assert (moved[0].max(), moved[1].max()) == (4, 4)
    assert len({tuple(row) for row in top[:, :2]}) > 30
    with pytest.raises(ValueError, match=r"8 pixels that move by 2 .* 17x24 .* border of 3"):
        frame_windows(example_keys(KEY, 2), policy, 5, 17, 24)


def test_frames_are_cut_resized_and_mirrored_together():
    policy = FramePolicy(dataclasses.replace(PLAIN, flip_p=0.5), jitter=2)
    seen = np.asarray(255 * frame_views(policy, KEY, places(64)))
    step = np.round(np.diff(seen[..., 1], axis=3))
    mirrored = step[:, :, 0, 0] < 0
    assert np.all(np.abs(step) == 1)
    assert np.all(mirrored == mirrored[:, :1])
    assert 20 < mirrored[:, 0].sum() < 44
    assert np.all(np.round(np.diff(seen[..., 0], axis=2)) == 1)
    # A window twice as large, at the size of the view.
    twice = frame_views(FramePolicy(PLAIN, crop=16), KEY, places())
    np.testing.assert_allclose(255 * np.diff(twice[..., 0], axis=2)[:, :, 1:-1], 2, atol=1e-3)


def test_what_happens_to_a_clip_depends_on_its_place_in_the_batch_alone():
    policy = FramePolicy(
        PLAIN, jitter=1, channel_splitting=True, standardize=True, blur=(0.5, 1.0), noise=0.1
    )
    clips = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16, 3), dtype=np.uint8)
    whole = frame_views(policy, KEY, jnp.asarray(clips))
    np.testing.assert_allclose(frame_views(policy, KEY, jnp.asarray(clips[:2])), whole[:2], 1e-5)
    assert np.std(np.asarray(frame_views(policy, KEY, jnp.zeros((2, 3, 16, 16, 3), jnp.uint8)))) > 0


def test_channels_are_split_for_each_frame_by_itself():
    rows = np.asarray(
        255 * frame_views(FramePolicy(PLAIN, channel_splitting=True), KEY, places(60))
    )
    assert np.all(rows == rows[..., :1])
    kept = np.where(
        np.ptp(rows[..., 0], axis=(2, 3)) == 0,
        2,
        np.where(np.ptp(rows[:, :, :, 0, 0], axis=2) > 0, 0, 1),
    )
    assert np.all(np.bincount(kept.ravel(), minlength=3) > 40)
    assert np.any(kept[:, 0] != kept[:, 1])


def test_standardised_frames_tell_nothing_of_brightness_and_contrast():
    still = np.random.default_rng(0).integers(60, 120, (5, 1, 16, 16, 3))
    levels = np.array([0.5, 1.0, 2.0]).reshape(1, 3, 1, 1, 1)
    clips = jnp.asarray((still * levels).round(), jnp.uint8)
    policy = FramePolicy(PLAIN, standardize=True)
    seen = frame_views(policy, KEY, clips)
    np.testing.assert_allclose(seen[:, 1], seen[:, 2], atol=1e-3)
    np.testing.assert_allclose(seen[:, 0], seen[:, 2], atol=0.1)  # Half a level, of 9.
    flat = jnp.full((2, 3, 16, 16, 3), 99, jnp.uint8)
    np.testing.assert_allclose(frame_views(policy, KEY, flat), 0.0, atol=1e-5)
    np.testing.assert_allclose(
        frames_to_pixels(policy, jnp.array([[[[-9.0, 0.0, 1.0]]]])), [[[[0, 0.5, 0.7]]]]
    )


def test_a_view_with_a_crop_of_its_own_is_refused():
    with pytest.raises(ValueError, match="crop_scale=None"):
        FramePolicy(ViewPolicy(8))
