"""What pretext tasks about clips share: the frames that they are given, and whole images."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

from jaxtyping import Array, Float, Num
from ml_collections import ConfigDict

from ssljax import augment, models
from ssljax.methods.contract import Task
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask

PLAIN_NORM = functools.partial(models.BatchNorm, use_scale=False, use_bias=False)
"""Batch norms without scales and biases."""


def frame_keys(view: augment.ViewPolicy, **changes: Any) -> dict[str, Any]:
    """The keys of a task by which its frames are made: see `augment.FramePolicy`.

    Args:
      view: Of frames, and of whole images for evaluations.
      **changes: Those that are not at the policy's defaults.
    """
    policy = dataclasses.asdict(augment.FramePolicy(view, **changes))
    return {**policy, "view": ConfigDict(policy["view"])}


class ClipTask(PretextTask):
    """Base of tasks about clips of so many frames.

    Attributes:
      policy: How frames are made.
    """

    fields: ClassVar[tuple[str, ...]] = ("clip",)
    policy: augment.FramePolicy

    def set_frames(self, config: ConfigDict, task: Task, frames: int) -> None:
        """Sets how many frames a clip has, and how they are made.

        Raises:
          ValueError: If a value is impossible, or the windows do not fit in the frames.
        """
        self.frames = frames
        self.view = augment.view_from_config(config.view)
        names = {field.name for field in dataclasses.fields(augment.FramePolicy)} - {"view"}
        options = {name: config[name] for name in names}
        options["blur"] = tuple(options["blur"])
        self.policy = augment.FramePolicy(self.view, **options)

    def frames_of(self, key: Any, images: Mapping[str, Array]) -> Float[Array, "batch n h w c"]:
        """What the network is given of the clips of a batch.

        Raises:
          ValueError: If clips have another number of frames.
        """
        clips = images["clip"]
        if clips.shape[1] != self.frames:
            raise ValueError(
                f"This task is about clips of {self.frames} frames, and these have "
                f"{clips.shape[1]}: set data.frames={self.frames}."
            )
        return augment.frame_views(self.policy, key, clips)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The encoder's outputs for whole images, normalised as frames are."""
        plain = dataclasses.replace(self.view, mean=None, std=None)
        whole = augment.center_view(plain, images)
        return encode(augment.normalize_frames(self.policy, whole))

    def to_pixels(
        self, images: Float[Array, "*batch height width channels"]
    ) -> Float[Array, "*batch height width channels"]:
        """Brings frames back to [0, 1], for pictures."""
        return augment.frames_to_pixels(self.policy, images)
