"""Windows of the frames of a clip, and what takes the trace of time out of each frame.

A camera's brightness drifts, a codec's quality rises and falls, and a tracked patch may show the
frame's border: a network that is asked about the order of frames, or which patches belong
together, can answer by these without seeing what moves.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8

from ssljax.augment.blur import check_equalization, equalize_sharpness
from ssljax.augment.crop import crop_and_resize
from ssljax.augment.geometry import random_flip
from ssljax.augment.keys import example_keys, fold_keys
from ssljax.augment.pixels import to_float
from ssljax.augment.policy import ViewPolicy
from ssljax.augment.shortcuts import one_channel, standardize
from ssljax.augment.tiles import sample_offsets, tile_keys
from ssljax.augment.views import after_crop, denormalize_view, normalize_view

_SHOWN = 5.0
"""Standard deviations from black to white, in pictures of standardised frames."""


@dataclasses.dataclass(frozen=True)
class FramePolicy:
    """How the frames of clips are cut and changed; hashable.

    Attributes:
      view: Gives the size that windows are resized to, the probability of a mirrored clip, the
        colour jitter of each frame by itself, and the normalisation of frames that are not
        standardised.
      crop: Side of the windows in pixels of the frames; 0 for as many as `view.size`.
      jitter: Most pixels by which the window of a frame is moved from the clip's, either way.
      border: Pixels along the frame's edges that no window shows.
      channel_splitting: Whether each frame shows one of its channels, drawn at random, on all.
      standardize: Whether each channel of each frame is brought to mean 0 and deviation 1.
      blur: Range of the standard deviation, in pixels, of a blur of each frame; empty for none.
      noise: Standard deviation of noise on each value of what the network is given.

    Raises:
      ValueError: If a value is impossible.
    """

    view: ViewPolicy
    crop: int = 0
    jitter: int = 0
    border: int = 0
    channel_splitting: bool = False
    standardize: bool = False
    blur: tuple[float, ...] = ()
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_equalization(self.blur, self.noise)
        if self.view.crop_scale is not None or self.view.crop_padding:
            raise ValueError(
                "Windows of frames are cut by crop, jitter and border: set crop_scale=None and "
                "crop_padding=0 in the view."
            )

    @property
    def window(self) -> int:
        """Side of the windows in pixels of the frames."""
        return self.crop or self.view.size


def frame_windows(
    keys: Key[Array, " batch"], policy: FramePolicy, frames: int, height: int, width: int
) -> Int[Array, "batch {frames} 4"]:
    """Draws the window of each frame: one place for each clip, from which each frame is moved.

    Args:
      keys: One key per clip.
      policy: Gives the side, the jitter and the border.
      frames: Of each clip.
      height: Of the frames, in pixels.
      width: Likewise.

    Returns:
      (top, left, height, width) in pixels of the frames.

    Raises:
      ValueError: If the windows do not fit in the frames.
    """
    side = policy.window
    around = policy.border + policy.jitter
    room = [length - side - 2 * around for length in (height, width)]
    if min(room) < 0:
        raise ValueError(
            f"Windows of {side} pixels that move by {policy.jitter} do not fit in frames of "
            f"{height}x{width} pixels without a border of {policy.border}: make method.crop, "
            "method.jitter or method.border smaller, or data.image_size larger."
        )
    place = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, jnp.array(room) + 1))
    corners = policy.border + place(fold_keys(keys, 0))[:, None]
    corners = corners + sample_offsets(fold_keys(keys, 1), frames, 2 * policy.jitter)
    return jnp.concatenate([corners, jnp.full_like(corners, side)], axis=2)


def frame_views(
    policy: FramePolicy,
    key: Key[Array, ""],
    clips: UInt8[Array, "batch frames height width channels"],
) -> Float[Array, "batch frames size size channels"]:
    """Makes what a network is given of each frame.

    The windows of a clip's frames lie about one place and are mirrored together. All else is drawn
    for each frame by itself: the order is window, mirroring, colour jitter, channel splitting,
    normalisation, blur, noise. Standardised before the noise, a frame has no trace of its
    brightness and contrast; blur and noise hide how sharp it was.

    Args:
      policy: What to do; static under `jax.jit`.
      key: Of the batch. What happens to clip i is a function of the key, i and the clip.
      clips: As bytes.

    Returns:
      The frames, standardised or as `policy.view` normalises.

    Raises:
      ValueError: If the frames are not bytes, or too small for the windows.

    Reference:
      Lee, Huang, Singh and Yang, Unsupervised Representation Learning by Sorting Sequences
      (arXiv:1708.01246), 2017, section 3.2, for windows that are moved, clips that are mirrored as
      wholes, and channel splitting.
    """
    batch, frames, height, width, channels = clips.shape
    keys = example_keys(key, batch)
    boxes = frame_windows(fold_keys(keys, 0), policy, frames, height, width)
    flat = to_float(clips.reshape(-1, height, width, channels))
    flat = crop_and_resize(flat, boxes.reshape(-1, 4), policy.view.size)
    # Every frame of a clip draws with the clip's key, and so is mirrored with the others.
    flat = random_flip(jnp.repeat(fold_keys(keys, 1), frames), flat, policy.view.flip_p)
    each = tile_keys(fold_keys(keys, 2), frames)
    plain = dataclasses.replace(policy.view, flip_p=0.0, mean=None, std=None)
    own = each.reshape(-1)
    flat = after_crop(plain, fold_keys(own, 0), flat)
    if policy.channel_splitting:
        flat = split_channels(fold_keys(own, 1), flat)
    flat = normalize_frames(policy, flat)
    views = flat.reshape(batch, frames, *flat.shape[1:])
    sharpness = fold_keys(own, 2).reshape(batch, frames)
    return equalize_sharpness(sharpness, views, policy.blur, policy.noise)


def split_channels(
    keys: Key[Array, " rows"], images: Float[Array, "rows height width channels"]
) -> Float[Array, "rows height width channels"]:
    """Puts one of its channels, each as likely, in the place of all of an image's channels.

    Args:
      keys: One key per image.
      images: Images of any range.

    Returns:
      Images whose channels are all alike.

    Reference:
      Lee, Huang, Singh and Yang, Unsupervised Representation Learning by Sorting Sequences
      (arXiv:1708.01246), 2017, section 3.2.
    """
    chosen = one_channel(keys, images.shape[-1])[:, None, None]
    kept = jnp.sum(jnp.where(chosen, images, 0.0), axis=-1, keepdims=True)
    return jnp.broadcast_to(kept, images.shape)


def normalize_frames(
    policy: FramePolicy, images: Float[Array, "rows height width channels"]
) -> Float[Array, "rows height width channels"]:
    """Standardises images in [0, 1], each by itself, or normalises them as the view has it."""
    return standardize(images) if policy.standardize else normalize_view(policy.view, images)


def frames_to_pixels(
    policy: FramePolicy, frames: Float[Array, "*batch height width channels"]
) -> Float[Array, "*batch height width channels"]:
    """Brings what a network is given back to [0, 1], for pictures; what leaves it is clipped."""
    seen = 0.5 + frames / _SHOWN if policy.standardize else denormalize_view(policy.view, frames)
    return jnp.clip(seen, 0.0, 1.0)
