"""Rotation prediction (RotNet): by how many quarter turns is an image rotated?

Gidaris, Singh and Komodakis, Unsupervised Representation Learning by Predicting Image Rotations,
2018.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses
from ssljax.augment import presets
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question, encode_each

_TURNS = 4


class RotationHead(nn.Module):
    """A linear layer on the features.

    Attributes:
      dtype: Type of the arithmetic.
    """

    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, encode: Encode, inputs: Float[Array, "batch 4 side side channels"], train: bool
    ) -> Outputs:
        """Guesses the turns of every copy.

        Args:
          encode: The encoder.
          inputs: The copies of each image.
          train: Unread; there is nothing that differs.

        Returns:
          "logits" (batch, 4, 4), (image, turns, guess); "features" (batch, dim) of the upright.
        """
        features = encode_each(encode, inputs)["features"]
        logits = nn.Dense(_TURNS, dtype=self.dtype, name="classifier")(features)
        return {"logits": logits.astype(jnp.float32), "features": features[:, 0]}


class RotationTask(PretextTask):
    """All four copies of an image are in the batch, made by flips and transposes.

    As in the authors' code, an image is cropped and mirrored once and then turned. The crop reaches
    as far beyond the image on all sides, so that what lies there does not tell the turn.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        self.view = augment.view_from_config(config.view)
        self.policies = [(self.view, 1)]
        self.head = RotationHead(dtype)
        self.chance = {"rotation_accuracy": 1 / _TURNS}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's views for CIFAR-10."""
        view = augment.ViewPolicy(
            32, crop_scale=None, crop_padding=4, mean=presets.CIFAR10_MEAN, std=presets.CIFAR10_STD
        )
        return ConfigDict(dict(view=ConfigDict(dataclasses.asdict(view))))

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Turns each image counter-clockwise by 0, 1, 2 and 3 quarters, without resampling."""
        upright = augment.make_view(self.view, key, images)
        turned = [jnp.rot90(upright, turns, axes=(1, 2)) for turns in range(_TURNS)]
        return Question(jnp.stack(turned, axis=1))

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Cross-entropy over all copies."""
        return losses.rotation_loss(outputs["logits"]), {}

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """The share of the copies whose turns are told."""
        right = jnp.argmax(outputs["logits"], axis=-1) == jnp.arange(_TURNS)[None]
        return {"rotation_accuracy": jnp.mean(right.astype(jnp.float32), axis=1)}

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The four copies, and each turned back by its guess: upright where the guess is right."""
        seen = self.to_pixels(question.inputs)
        back = [jnp.rot90(seen, -turns, axes=(2, 3)) for turns in range(_TURNS)]
        guesses = jnp.argmax(outputs["logits"], axis=-1)[..., None, None, None]
        said = sum(jnp.where(guesses == turns, x, 0.0) for turns, x in enumerate(back))
        return jnp.concatenate([seen, said], axis=1)


class Rotation(PretextMethod):
    """Rotation prediction."""

    task_type = RotationTask

    def __init__(self, config: ConfigDict, task: Task) -> None:
        refuse_bars(config)
        super().__init__(config, task)


def refuse_bars(config: ConfigDict) -> None:
    """Refuses images with bars around them.

    Args:
      config: The whole config.

    Raises:
      ValueError: If the data are padded to squares.
    """
    if config.data.resize == "pad":
        raise ValueError(
            "Bars around an image would tell how it was turned: choose data.resize other than "
            "'pad'."
        )
