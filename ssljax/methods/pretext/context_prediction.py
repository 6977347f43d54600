"""Context prediction: where does one patch of an image lie, as seen from another?

Doersch, Gupta and Efros, Unsupervised Visual Representation Learning by Context Prediction, 2015.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, Num, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import (
    Encode,
    Outputs,
    PretextTask,
    Question,
    encode_each,
    output_of,
)

POSITIONS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""The answers: (rows down, columns right) from the first patch of a pair to the second."""

COLORS = ("drop", "project", "none")


def neighbor_pairs(cells: int) -> np.ndarray:
    """All pairs of neighbours in a grid, in both orders.

    Args:
      cells: Patches a side.

    Returns:
      A row (first patch, second patch, index into `POSITIONS`) for each pair.
    """
    pairs = [
        (row * cells + column, (row + down) * cells + column + right, answer)
        for row in range(cells)
        for column in range(cells)
        for answer, (down, right) in enumerate(POSITIONS)
        if 0 <= row + down < cells and 0 <= column + right < cells
    ]
    return np.array(pairs, np.int32)


class ContextHead(nn.Module):
    """Fully connected layers on each patch, and then on pairs of them.

    Attributes:
      cells: Patches a side of a grid.
      layer: The encoder's output that is read.
      pool: As in `models.TileEmbedding`.
      embedding_dim: Units of the layer on each patch.
      hidden_dim: Units of the two layers on pairs.
      norm: Whether norms without scale and bias follow the layers, except the last hidden one.
      dtype: Type of the arithmetic.
    """

    cells: int
    layer: str
    pool: bool
    embedding_dim: int
    hidden_dim: int
    norm: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, encode: Encode, inputs: Float[Array, "batch patches side side channels"], train: bool
    ) -> Outputs:
        """Guesses the position of every second patch from the first.

        Args:
          encode: The encoder.
          inputs: The patches of one or more grids of each image. Each is encoded once.
          train: Whether the norms use and update batch statistics.

        Returns:
          "logits" (batch, grids, pairs, 8); "features" (batch, dim) of the first grid's middle
          patch.
        """
        outputs = encode_each(encode, inputs)
        kind = "bn_relu" if self.norm else "relu"
        embed = models.TileEmbedding(
            self.embedding_dim, kind, False, self.pool, self.dtype, name="patch"
        )
        embedded = embed(output_of(outputs, self.layer), train)
        batch, patches, dim = embedded.shape
        grids = embedded.reshape(batch, patches // self.cells**2, self.cells**2, dim)
        pairs = neighbor_pairs(self.cells)
        both = [grids[:, :, pairs[:, place]] for place in range(2)]
        x = jnp.concatenate(both, axis=-1)
        for width, layer, name in (
            (self.hidden_dim, kind, "fc7"),
            (self.hidden_dim, "relu", "fc8"),
            (len(POSITIONS), "linear", "classifier"),
        ):
            x = models.FullyConnected(width, layer, False, self.dtype, name=name)(x, train)
        middle = self.cells**2 // 2
        return {"logits": x.astype(jnp.float32), "features": outputs["features"][:, middle]}


class ContextPredictionTask(PretextTask):
    """Every pair of neighbours of a grid of patches, in both orders, is a question.

    Simplified: images are squares, as all of a run are, and a grid has a fixed number of patches,
    where the authors' has as many as fit. Each grid lies in the image at a size of its own, where
    the authors' grids of one image share one.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        if config.color not in COLORS:
            raise ValueError(f"method.color must be one of {COLORS}, got {config.color!r}.")
        if config.reduction not in ("sum", "mean"):
            raise ValueError(f"method.reduction must be 'sum' or 'mean', got {config.reduction!r}.")
        if len(config.area) not in (0, 2):
            raise ValueError(
                f"method.area must be (low, high) in pixels, or empty, got {tuple(config.area)}."
            )
        if config.color != "none" and task.image_shape[2] != 3:
            raise ValueError(
                f"method.color={config.color!r} needs images of 3 channels, and these have "
                f"{task.image_shape[2]}: set it to none."
            )
        if config.cells < 2 or config.grids < 1:
            raise ValueError(
                "A grid has at least 2 patches a side, and an image at least one grid, but "
                f"method.cells is {config.cells} and method.grids is {config.grids}."
            )
        self.config = config
        self.side = augment.grid_side(config.cells, config.patch, config.gap, config.jitter)
        self.view = dataclasses.replace(augment.view_from_config(config.view), mean=None, std=None)
        if not config.encoder_affine:
            plain = functools.partial(models.BatchNorm, use_scale=False, use_bias=False)
            self.encoder_options = {"norm": plain}
        self.head = ContextHead(
            config.cells,
            config.layer,
            config.pool,
            config.embedding_dim,
            config.hidden_dim,
            config.batch_norm,
            dtype,
        )
        self.answers = neighbor_pairs(config.cells)[:, 2]
        # Straight neighbours are more than diagonal ones, and a guess can know that.
        often = np.bincount(self.answers, minlength=len(POSITIONS)).max()
        self.chance = {"position_accuracy": float(often) / len(self.answers)}

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' patches and layers for ImageNet."""
        view = augment.ViewPolicy(224, crop_scale=None, flip_p=0.0)
        return ConfigDict(
            dict(
                cells=3,  # Patches a side of a grid.
                patch=96,  # Side of a patch, in pixels.
                gap=48,  # Pixels between neighbours.
                jitter=7,  # Most pixels by which a patch is moved, either way.
                grids=4,  # Of each image.
                # Range of the pixels that an image is resized to; empty: it stays as it is.
                area=(150000.0, 450000.0),
                color="drop",  # "drop", "project" or "none": how the lens's trace is removed.
                rms=50.0,  # Of each patch, once it is centred.
                resample_p=1 / 3,  # Share of the patches that lose their fine detail.
                resample_least=10,  # The smallest side that one is brought to, in pixels.
                encoder_affine=False,  # Whether the encoder's norms have scales and biases.
                layer="features",  # The encoder's output that the head reads.
                pool=False,  # Whether that is a map that is pooled first.
                embedding_dim=4096,  # Units of fc6.
                hidden_dim=4096,  # Units of fc7 and fc8.
                batch_norm=True,  # Of fc6 and fc7.
                reduction="sum",  # "sum" or "mean" of the loss over all pairs of the batch.
                # Of whole images, for evaluations. Its mean and std are not read: whole images are
                # normalised as patches are.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Cuts the patches of each grid, and closes the shortcuts."""
        pixels = augment.to_float(images["image"])
        keys = augment.example_keys(key, pixels.shape[0])
        grids = [
            self._grid(augment.fold_keys(keys, number), pixels)
            for number in range(self.config.grids)
        ]
        return Question(jnp.concatenate(grids, axis=1))

    def _grid(
        self, keys: Key[Array, " batch"], pixels: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch patches side side channels"]:
        config = self.config
        area = tuple(config.area) or None
        height, width = pixels.shape[1:3]
        boxes = augment.sample_grid_boxes(
            augment.fold_keys(keys, 0), height, width, self.side, area
        )
        corners = augment.grid_corners(
            augment.fold_keys(keys, 1), config.cells, config.patch, config.gap, config.jitter
        )
        if area is None:
            corners = corners + boxes[:, None, :2]
        else:
            pixels = augment.crop_and_resize(pixels, boxes, self.side)
        patches = augment.cut_tiles(pixels, corners, config.patch)
        flat = patches.reshape(-1, *patches.shape[2:])
        each = augment.tile_keys(augment.fold_keys(keys, 2), patches.shape[1]).reshape(-1)
        flat = augment.random_down_and_up(
            augment.fold_keys(each, 0), flat, config.resample_least, config.resample_p
        )
        if config.color == "drop":
            flat = augment.drop_colors(augment.fold_keys(each, 1), flat)
        elif config.color == "project":
            flat = augment.project_colors(flat)
        return self._normalize(flat).reshape(patches.shape)

    def _normalize(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch height width channels"]:
        if self.config.color != "drop":
            images = augment.center(images)
        return augment.scale_to_rms(images, self.config.rms)

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Cross-entropy of the positions, summed or averaged over all pairs of the batch."""
        logits = outputs["logits"]
        entropies = optax.softmax_cross_entropy_with_integer_labels(logits, self._answers(logits))
        reduce = jnp.sum if self.config.reduction == "sum" else jnp.mean
        return reduce(entropies), {"entropy": jnp.mean(entropies)}

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """The share of the pairs whose position is told."""
        logits = outputs["logits"]
        right = jnp.argmax(logits, axis=-1) == self._answers(logits)
        return {"position_accuracy": jnp.mean(right.astype(jnp.float32), axis=(1, 2))}

    def _answers(self, logits: Float[Array, "batch grids pairs 8"]) -> Array:
        return jnp.broadcast_to(jnp.asarray(self.answers)[None, None], logits.shape[:-1])

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The middle patch of the first grid with its neighbours, as they lie and as is said.

        Where several are said to lie in one place, the one is drawn that is said to most surely;
        places that stay empty are grey.
        """
        cells = self.config.cells
        pairs = neighbor_pairs(cells)
        own = np.flatnonzero(pairs[:, 0] == cells**2 // 2)
        patches = self._shown(question.inputs[:, : cells**2])
        neighbors = patches[:, pairs[own, 1]]
        middle = patches[:, cells**2 // 2]
        right = jax.nn.one_hot(pairs[own, 2], len(POSITIONS))
        said = jax.nn.softmax(outputs["logits"][:, 0, own], axis=-1)
        right = jnp.broadcast_to(right[None], said.shape)
        columns = [self._arrange(middle, neighbors, weights) for weights in (right, said)]
        return jnp.stack(columns, axis=1)

    def _shown(
        self, patches: Float[Array, "batch patches side side channels"]
    ) -> Float[Array, "batch patches side side channels"]:
        return jnp.clip(0.5 + patches / (5.0 * self.config.rms), 0.0, 1.0)

    def _arrange(
        self,
        middle: Float[Array, "batch side side channels"],
        neighbors: Float[Array, "batch count side side channels"],
        said: Float[Array, "batch count 8"],
    ) -> Float[Array, "batch height width channels"]:
        """Puts neighbours around the middle, each in its most probable place."""
        likeliest = jax.nn.one_hot(jnp.argmax(said, axis=-1), len(POSITIONS), axis=-1)
        sure = said * likeliest
        chosen = jnp.argmax(sure, axis=1)
        placed = jnp.take_along_axis(neighbors, chosen[:, :, None, None, None], axis=1)
        taken = jnp.max(sure, axis=1) > 0.0
        placed = jnp.where(taken[:, :, None, None, None], placed, 0.5)
        around = [placed[:, :4], middle[:, None], placed[:, 4:]]
        gap = max(1, self.config.patch // 8)
        return augment.lay_out(jnp.concatenate(around, axis=1), 3, gap)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The encoder's outputs for whole images, centred and scaled as patches are."""
        whole = augment.center(augment.center_view(self.view, images))
        return encode(augment.scale_to_rms(whole, self.config.rms))


class ContextPrediction(PretextMethod):
    """Context prediction."""

    task_type = ContextPredictionTask
