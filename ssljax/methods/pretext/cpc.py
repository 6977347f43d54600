"""CPC v2: which patch lies so many rows further on?

Hénaff, Srinivas, De Fauw, Razavi, Doersch, Eslami and van den Oord, Data-Efficient Image
Recognition with Contrastive Predictive Coding, 2019.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question, encode_each
from ssljax.ops.overlapping import overlapping_patches

_TURNS = {1: (0,), 2: (0, 2), 4: (0, 1, 2, 3)}
"""Quarter turns of the grid by the number of directions; each is predicted from its top down."""

_ALIKE = 1e-4
"""Share of the largest inner product by which the right one must exceed the next."""


class PatchPrediction(nn.Module):
    """Context networks, projections of the patches, and predictors, for each direction its own.

    Projections and predictors are linear; there is a predictor for each of the rows ahead.

    Attributes:
      turns: Quarter turns of the grid, one for each direction.
      offsets: How many rows ahead there are predictions of.
      context_blocks: Blocks of a context network.
      context_width: Channels inside its blocks.
      target_dim: Size of projections and predictions.
      prediction_scale: Factor on the predictions.
      dtype: Type of the arithmetic.
    """

    turns: tuple[int, ...]
    offsets: tuple[int, ...]
    context_blocks: int
    context_width: int
    target_dim: int
    prediction_scale: float
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        encode: Encode,
        inputs: Float[Array, "batch side side size size channels"],
        train: bool,
    ) -> Outputs:
        """Encodes every patch alone, and predicts patches from those before them.

        Args:
          encode: The encoder.
          inputs: The patches of each image.
          train: Unread; there is nothing that differs.

        Returns:
          "targets" (batch, directions, side, side, dim) of every patch, "predictions" (batch,
          directions, offsets, side, side, dim) from every place, and "features" (batch, channels)
          of the patch in the middle.
        """
        batch, side = inputs.shape[:2]
        parts = inputs.reshape(batch, side * side, *inputs.shape[3:])
        latents = encode_each(encode, parts)["features"]
        grid = latents.reshape(batch, side, side, -1)
        targets, predictions = [], []
        for number, turns in enumerate(self.turns, start=1):
            turned = jnp.rot90(grid, turns, axes=(1, 2))
            network = models.MaskedContext(
                self.context_blocks, self.context_width, self.dtype, name=f"context{number}"
            )
            context = network(turned)
            targets.append(self._project(f"target{number}", turned))
            ahead = [self._project(f"ahead{number}_{offset}", context) for offset in self.offsets]
            predictions.append(self.prediction_scale * jnp.stack(ahead, axis=1))
        return {
            "targets": jnp.stack(targets, axis=1),
            "predictions": jnp.stack(predictions, axis=1),
            "features": grid[:, side // 2, side // 2],
        }

    def _project(self, name: str, x: Float[Array, "batch side side channels"]) -> Array:
        return nn.Dense(self.target_dim, dtype=self.dtype, name=name)(x).astype(jnp.float32)


class CPCTask(PretextTask):
    """An image is a grid of overlapping patches, each encoded by itself.

    The encoder has layer norms: a batch norm's statistics, and so every feature, would hold
    something of the patches that are to be predicted. In its own score a prediction chooses among
    the patches of its own image, so that the mark of an image does not depend on its batch; in the
    loss, among those of all images as well. Probes read the patches' features too, side by side.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        self.config = config
        self.view = augment.view_from_config(config.view)
        self.policies = [(self.view, 1)]
        self.encoder_options = {"norm": models.LayerNorm}
        size, stride = config.patch_size, config.patch_stride
        if stride < 1 or size > self.view.size or (self.view.size - size) % stride:
            raise ValueError(
                f"Views of {self.view.size} pixels are no grid of patches of patch_size={size} "
                f"that are patch_stride={stride} apart: choose a view of patch_size plus a "
                "multiple of patch_stride."
            )
        self.side = (self.view.size - size) // stride + 1
        furthest = config.skip_rows + config.predict_rows
        if config.skip_rows < 0 or config.predict_rows < 1 or furthest >= self.side:
            raise ValueError(
                f"The grid has {self.side} rows, and skip_rows={config.skip_rows} with "
                f"predict_rows={config.predict_rows} asks for what lies {furthest} below the "
                "first: their sum must be less than the rows, and predict_rows at least 1."
            )
        if config.directions not in _TURNS:
            raise ValueError(f"directions is {config.directions}; it must be 1, 2 or 4.")
        self.offsets = tuple(range(config.skip_rows + 1, furthest + 1))
        self.head = PatchPrediction(
            _TURNS[config.directions],
            self.offsets,
            config.context_blocks,
            config.context_width,
            config.target_dim,
            config.prediction_scale,
            dtype,
        )
        self.chance = {"patch_accuracy": 1 / self.side**2}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet."""
        view = augment.ViewPolicy(
            256,
            crop_scale=(0.75, 0.75),  # 260 pixels of 300.
            crop_ratio=(1.0, 1.0),
            mean=presets.IMAGENET_MEAN,
            std=presets.IMAGENET_STD,
        )
        return ConfigDict(
            dict(
                patch_size=64,
                patch_stride=32,
                skip_rows=2,  # The next rows overlap with what is seen.
                predict_rows=3,
                directions=4,
                context_blocks=5,
                context_width=256,
                target_dim=64,
                prediction_scale=0.1,
                operations=2,  # Of AutoAugment, on each patch.
                shear_p=0.2,
                jitter_p=0.8,
                gray_p=0.25,
                color_drop_p=1.0,  # That a patch keeps one of its three channels.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Cuts each image into patches and changes each of them by itself.

        The targets are the patches as they were, in [0, 1].
        """
        whole = dataclasses.replace(self.view, mean=None, std=None)
        view_key, patches_key = jax.random.split(key)
        clean = self._cut(augment.make_view(whole, view_key, images))
        patches = clean.reshape(-1, *clean.shape[3:])
        keys = augment.example_keys(patches_key, clean.shape[0])
        keys = jax.vmap(augment.example_keys, (0, None))(keys, self.side**2).reshape(-1)
        config = self.config
        patches = augment.augment_patches(
            augment.fold_keys(keys, 0),
            patches,
            config.operations,
            config.shear_p,
            config.jitter_p,
            config.gray_p,
        )
        patches = augment.normalize_view(self.view, patches)
        patches = augment.drop_channels(augment.fold_keys(keys, 1), patches, config.color_drop_p)
        return Question(patches.reshape(clean.shape), clean)

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Mean over the directions and the rows ahead of the loss of predictive coding."""
        total = jnp.float32(0.0)
        for direction in range(self.config.directions):
            there = outputs["targets"][:, direction]
            for number, offset in enumerate(self.offsets):
                said = outputs["predictions"][:, direction, number, : self.side - offset]
                total += losses.predictive_coding(said, there, offset)
        return total / (self.config.directions * len(self.offsets)), {}

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """The share of the predictions that are nearest to the right patch of the image.

        Patches that look alike are none of them right: rounding shall not choose.
        """
        right = []
        for direction in range(self.config.directions):
            for number, offset in enumerate(self.offsets):
                logits = self._compare(outputs, direction, number)
                places = jnp.arange(self.side**2).reshape(self.side, self.side)[offset:]
                is_own = places[None, :, :, None] == jnp.arange(self.side**2)[None, None, None]
                own = jnp.sum(jnp.where(is_own, logits, 0.0), axis=-1)
                best = jnp.max(jnp.where(is_own, -jnp.inf, logits), axis=-1)
                least = _ALIKE * jnp.max(jnp.abs(logits), axis=-1)
                right.append((own - best > least).reshape(own.shape[0], -1))
        shares = jnp.mean(jnp.concatenate(right, axis=1).astype(jnp.float32), axis=1)
        return {"patch_accuracy": shares}

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """Predictions of the row furthest down: what is seen, what is chosen, and the image.

        The patches lie side by side in each, those that are seen as the network is given them. All
        others are the image's own; grey is what is not seen and not asked about.
        """
        offset = self.offsets[0]
        last = self.side - offset - 1
        clean = question.targets
        rows = jnp.arange(self.side)[None, :, None, None, None, None]
        hidden = jnp.full_like(clean, 0.5)
        seen = jnp.where(rows <= last, self.to_pixels(question.inputs), hidden)
        choice = jnp.argmax(self._compare(outputs, 0, 0)[:, -1], axis=-1)
        flat = clean.reshape(clean.shape[0], -1, *clean.shape[3:])
        chosen = jnp.take_along_axis(flat, choice[:, :, None, None, None], axis=1)[:, None]
        said = jnp.where(rows <= last, clean, hidden)
        said = jnp.where(rows == last + offset, chosen, said)
        return jnp.stack([side_by_side(x) for x in (seen, said, clean)], axis=1)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The outputs for every patch alone: maps side by side, and the mean of "features"."""
        patches = self._cut(augment.center_view(self.view, images))
        batch, side = patches.shape[:2]
        outputs = encode_each(encode, patches.reshape(batch, side * side, *patches.shape[3:]))
        grids = {name: x.reshape(batch, side, side, *x.shape[2:]) for name, x in outputs.items()}
        return {
            name: side_by_side(x) if x.ndim == 6 else jnp.mean(x, axis=(1, 2))
            for name, x in grids.items()
        }

    def _cut(self, images: Float[Array, "batch height width channels"]) -> Array:
        return overlapping_patches(images, self.config.patch_size, self.config.patch_stride)

    def _compare(self, outputs: Outputs, direction: int, number: int) -> Array:
        """Inner products of predictions, (batch, rows, columns), with all patches of the image."""
        said = outputs["predictions"][:, direction, number, : self.side - self.offsets[number]]
        there = outputs["targets"][:, direction]
        candidates = there.reshape(there.shape[0], -1, there.shape[-1])
        return jnp.einsum("brcd,bnd->brcn", said, candidates, precision=lax.Precision.HIGHEST)


def side_by_side(
    grid: Float[Array, "batch rows columns height width channels"],
) -> Float[Array, "batch _ _ channels"]:
    """Joins the maps or patches of a grid into one picture for each image."""
    batch, rows, columns, height, width, channels = grid.shape
    return grid.swapaxes(2, 3).reshape(batch, rows * height, columns * width, channels)


class CPC(PretextMethod):
    """Contrastive predictive coding."""

    task_type = CPCTask
