"""Motion segmentation: which pixels of a single frame would move?

Pathak, Girshick, Dollár, Darrell and Hariharan, Learning Features by Watching Objects Move
(arXiv:1612.06370), 2017.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question, output_of
from ssljax.ops.resampling import nearest


class MotionSegmentationHead(nn.Module):
    """Scores each place of a coarse mask.

    Attributes:
      places: Along a side of the mask.
      layer: Which of the encoder's outputs a fully connected layer reads; unread with a `width`.
      width: Channels of a `DenseHead` on the encoder's last map; 0 for the fully connected layer.
      dtype: Type of the arithmetic.
    """

    places: int
    layer: str
    width: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, encode: Encode, inputs: Float[Array, "batch height width channels"], train: bool
    ) -> Outputs:
        """Scores the places.

        Args:
          encode: The encoder.
          inputs: Views of frames.
          train: Whether batch statistics are of this batch.

        Returns:
          "logits" (batch, places, places), above 0 where something would rather move, and
          "features" (batch, dim).
        """
        outputs = encode(inputs)
        rows, features = len(inputs), outputs["features"]
        if self.width:
            head = models.DenseHead(self.places, 1, self.width, dtype=self.dtype, name="classifier")
            return {"logits": head(models.last_map(outputs), train)[..., 0], "features": features}
        seen = output_of(outputs, self.layer).reshape(rows, -1)
        logits = nn.Dense(self.places**2, dtype=self.dtype, name="classifier")(seen)
        shaped = logits.astype(jnp.float32).reshape(rows, self.places, self.places)
        return {"logits": shaped, "features": features}


class MotionSegmentationTask(PretextTask):
    """A frame is seen, and what the video has shown to move is told at each of some places.

    The targets are masks that were made of the frames' optical flow: 1 where something moves, 0
    where nothing does, and void, -1 in a batch, where that is unsure. `ssljax.tools.motion_masks`
    makes such masks, and `ssljax.tools.motion_voting` says how. The mask is cut and mirrored with
    its frame, and each place has the state of the pixel in its middle.

    The loss is the sigmoid cross-entropy of each place that is sure, summed and divided by all
    places, so that places count alike in all frames. Frames without a sure place teach nothing.

    The paper's AlexNet has fully connected layers, of which the last one scores 56x56 places. For
    an encoder that ends with a map there are convolutions instead, by `head_dim`.

    The score is the mean over frames of the intersection over union of what is said to move with
    what does, among the places that are sure: 1 where there is nothing of either. A guess says that
    everything moves.
    """

    fields: ClassVar[tuple[str, ...]] = ("image", "mask")

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        self.view = augment.view_from_config(config.view)
        self.places = config.places
        if not 1 <= self.places <= self.view.size:
            raise ValueError(
                f"method.places is {self.places}; it must be from 1 to {self.view.size}, the "
                "views' size."
            )
        self.head = MotionSegmentationHead(
            self.places, config.layer, config.head_dim, jnp.dtype(dtype)
        )
        self.chance = {"motion_iou": float("nan")}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's sizes; the view's crop and mirror are ours."""
        view = augment.ViewPolicy(
            227, crop_scale=(0.5, 1.0), mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD
        )
        return ConfigDict(
            dict(
                places=56,  # Along a side, at which motion is told.
                layer="features",  # Of the encoder, which the fully connected layer reads.
                head_dim=0,  # Channels of convolutions on the last map, in its stead.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Makes one view of each frame, and of its mask."""
        view = augment.make_view(self.view, key, images)
        mask = augment.view_masks(self.view, key, images["mask"])
        return Question(view, {"mask": nearest(mask, self.places, self.places), "view": view})

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Sigmoid cross-entropy of the places that are sure."""
        mask, logits = targets["mask"], outputs["logits"]
        rows, places = len(mask), self.places**2
        loss = losses.multi_label_cross_entropy(
            logits.reshape(rows, places), _states(mask).reshape(rows, places)
        )
        return loss / places, {
            "sure": jnp.mean(mask >= 0),
            "moving": jnp.mean(mask > 0),
            "said": jnp.mean(logits > 0),
        }

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """Marks what is said to move; NaN where nothing is known."""
        return {"motion_iou": intersection_over_union(outputs["logits"] > 0, targets["mask"])}

    def guess(self, question: Question) -> dict[str, Float[Array, " batch"]]:
        """The marks of the answer that everything moves."""
        mask = question.targets["mask"]
        return {"motion_iou": intersection_over_union(jnp.ones_like(mask, bool), mask)}

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The frame, how likely each place is said to move, and what does; void is grey."""
        view, mask = question.targets["view"], question.targets["mask"]
        truth = jnp.where(mask < 0, 0.5, (mask > 0).astype(jnp.float32))
        side, channels = view.shape[1], view.shape[-1]
        maps = [nn.sigmoid(outputs["logits"]), truth]
        shown = [jnp.repeat(nearest(x, side, side)[..., None], channels, axis=-1) for x in maps]
        return jnp.stack([self.to_pixels(view), *shown], axis=1)


def _states(mask: Int[Array, "*places"]) -> Int[Array, "*places"]:
    """Any number above 0 moves."""
    return jnp.minimum(mask, 1)


def intersection_over_union(
    said: Array, mask: Int[Array, "batch height width"]
) -> Float[Array, " batch"]:
    """How far what is said to move is what moves, among the places that are sure.

    Args:
      said: True where something is said to move, as `mask`.
      mask: Above 0 where something moves, 0 where nothing does, below where that is unsure.

    Returns:
      A value in [0, 1] for each frame; 1 where nothing moves and nothing is said to; NaN where no
      place is sure, so that there is nothing to be right about.
    """
    sure = jnp.any(mask >= 0, axis=(1, 2))
    said, moves = said & (mask >= 0), mask > 0
    both = jnp.sum(said & moves, axis=(1, 2)).astype(jnp.float32)
    either = jnp.sum(said | moves, axis=(1, 2)).astype(jnp.float32)
    score = jnp.where(either > 0, both / jnp.maximum(either, 1.0), 1.0)
    return jnp.where(sure, score, jnp.nan)


class MotionSegmentation(PretextMethod):
    """Motion segmentation."""

    task_type = MotionSegmentationTask
