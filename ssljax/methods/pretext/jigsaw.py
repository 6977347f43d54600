"""Jigsaw puzzles: in which of some orders have the tiles of an image been put?

Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles, 2016.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key, Num, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models
from ssljax.augment import presets
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
from ssljax.models.heads.tiles import LAYERS
from ssljax.ops.permutations import permutation_set

NORMALIZATIONS = ("tile", "view")
PROBES = ("whole", "tiles")


class JigsawHead(nn.Module):
    """A fully connected layer on each tile, and then on all tiles of a puzzle in their order.

    Attributes:
      permutations: Number of orders to tell apart.
      layer: The encoder's output that is read.
      pool: As in `models.TileEmbedding`.
      embedding_dim: Units of the layer on each tile.
      embedding: Its kind, one of those of `models.FullyConnected`.
      hidden_dim: Units of the layer on all tiles; 0 for none.
      hidden: Its kind.
      dropout: Share of the units of both layers that is dropped, where they have a ReLU.
      dtype: Type of the arithmetic.
    """

    permutations: int
    layer: str
    pool: bool
    embedding_dim: int
    embedding: str
    hidden_dim: int
    hidden: str
    dropout: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, encode: Encode, inputs: Mapping[str, Array], train: bool) -> Outputs:
        """Guesses the order of each puzzle.

        Args:
          encode: The encoder.
          inputs: "tiles" (batch, tiles, side, side, channels), in the order in which one reads, and
            "orders" (batch, puzzles, tiles): which of them lies in each place. Each tile is encoded
            once, for all puzzles of its image.
          train: Whether norms use and update batch statistics, and dropout is on.

        Returns:
          "logits" (batch, puzzles, permutations); "features" (batch, dim) of the middle tile.
        """
        outputs = encode_each(encode, inputs["tiles"])
        embed = models.TileEmbedding(
            self.embedding_dim, self.embedding, True, self.pool, self.dtype, name="tile"
        )
        embedded = self._drop(embed(output_of(outputs, self.layer), train), self.embedding, train)
        x = put_in_order(embedded, inputs["orders"])
        x = x.reshape(*x.shape[:2], -1)
        if self.hidden_dim:
            hidden = models.FullyConnected(
                self.hidden_dim, self.hidden, dtype=self.dtype, name="fc7"
            )
            x = self._drop(hidden(x, train), self.hidden, train)
        classify = models.FullyConnected(
            self.permutations, "linear", dtype=self.dtype, name="classifier"
        )
        middle = outputs["features"].shape[1] // 2
        return {
            "logits": classify(x, train).astype(jnp.float32),
            "features": outputs["features"][:, middle],
        }

    def _drop(self, x: Array, kind: str, train: bool) -> Array:
        if kind == "linear" or self.dropout == 0.0:
            return x
        return nn.Dropout(self.dropout, deterministic=not train)(x)


def put_in_order(
    tiles: Float[Array, "batch tiles *values"], orders: Int[Array, "batch puzzles tiles"]
) -> Float[Array, "batch puzzles tiles *values"]:
    """Puts the tiles of each image in some orders.

    Args:
      tiles: Of each image; all of them lie on one device.
      orders: Which tile comes to each place.

    Returns:
      The tiles of each puzzle.
    """
    # Products with zeros and ones: their gradient is of the same kind, and moves no rows.
    chosen = jax.nn.one_hot(orders, tiles.shape[1], dtype=tiles.dtype)
    precision = jax.lax.Precision.HIGHEST
    return jnp.einsum("bpij,bj...->bpi...", chosen, tiles, precision=precision)


class JigsawTask(PretextTask):
    """The tiles of an image, taken at random places of the cells of a grid, in other orders.

    A lens displaces colours, the more the further from its centre, and so tells the place of a
    tile. No image shows that which is grey or, as all others by default, has lost green against
    magenta. With the authors' half of the others, even with channels that are shifted, and with
    none, some of it is left.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        for key, value, known in (
            ("normalization", config.normalization, NORMALIZATIONS),
            ("probe", config.probe, PROBES),
            ("embedding", config.embedding, LAYERS),
            ("hidden", config.hidden, LAYERS),
        ):
            if value not in known:
                raise ValueError(f"method.{key} must be one of {known}, got {value!r}.")
        if config.permutations < 2 or config.puzzles < 1:
            raise ValueError(
                "There are at least 2 permutations to tell apart, and a puzzle of each image, but "
                f"method.permutations is {config.permutations} and method.puzzles is "
                f"{config.puzzles}."
            )
        if config.projection_p and task.image_shape[2] not in (1, 3):
            raise ValueError(
                f"method.projection_p={config.projection_p} needs images of 1 or 3 channels, and "
                f"these have {task.image_shape[2]}: set it to 0."
            )
        if config.probe == "tiles" and config.probe_size < config.cells * config.tile:
            raise ValueError(
                f"{config.cells} tiles of {config.tile} pixels do not fit in "
                f"method.probe_size={config.probe_size}."
            )
        if config.shared and config.puzzles > config.permutations:
            raise ValueError(
                f"method.puzzles={config.puzzles} different permutations cannot be drawn of "
                f"method.permutations={config.permutations}."
            )
        if config.crop > config.size:
            raise ValueError(
                f"A crop of {config.crop} pixels does not fit in {config.size}: make method.crop "
                "smaller."
            )
        self.config = config
        self.cell = config.crop // config.cells
        # Refused here rather than in the first step.
        augment.cell_corners(None, config.cells, self.cell, config.tile, config.channel_shift)
        self.view = augment.view_from_config(config.view)
        self.maps_have_places = config.probe == "whole"
        self.encoder_options = {} if config.encoder_norm else {"norm": models.NoNorm}
        self.permutations = permutation_set(config.permutations, config.cells**2)
        self.head = JigsawHead(
            config.permutations,
            config.layer,
            config.pool,
            config.embedding_dim,
            config.embedding,
            config.hidden_dim,
            config.hidden,
            config.dropout,
            dtype,
        )
        values = np.arange(config.cells**2)[:, None, None]
        often = np.mean(self.permutations[None] == values, axis=1)  # (value, place).
        agreement = [np.mean(often[order, np.arange(len(order))]) for order in self.permutations]
        self.chance = {
            "permutation_accuracy": 1 / config.permutations,
            "tile_accuracy": float(max(agreement)),
        }

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's tiles and layers for ImageNet."""
        view = augment.ViewPolicy(
            224,
            crop_scale=None,
            flip_p=0.0,
            mean=presets.IMAGENET_MEAN,
            std=presets.IMAGENET_STD,
        )
        return ConfigDict(
            dict(
                size=292,  # What images are resized to, in pixels.
                crop=255,  # Side of the random crop that is cut into cells.
                cells=3,  # A side.
                tile=64,  # Side of the tile at a random place of each cell.
                permutations=100,
                puzzles=1,  # Of each image, from one encoding of its tiles.
                shared=False,  # Whether all images of a batch have the same permutations.
                flip_p=0.0,  # Share of the images that are mirrored.
                gray_p=0.66,  # Share of the images that are made grey.
                projection_p=1.0,  # Share of the others that lose green against magenta.
                channel_shift=0,  # Most pixels by which each channel of a tile is shifted.
                normalization="tile",  # "tile": each on its own; "view": by the view's mean, std.
                encoder_norm=True,  # Whether the encoder has its norms.
                layer="features",  # The encoder's output that the head reads.
                pool=False,  # Whether that is a map that is pooled first.
                embedding_dim=1024,  # Units of fc6, on each tile.
                embedding="relu",  # Of fc6: "linear", "relu" or "bn_relu".
                hidden_dim=4096,  # Units of fc7, on all tiles; 0: none.
                hidden="relu",
                dropout=0.5,  # After the ReLU of fc6 and fc7.
                # What evaluations see: "whole" images, or nine "tiles" whose features are averaged.
                probe="whole",
                probe_size=224,  # For "tiles": what images are resized to.
                view=ConfigDict(dataclasses.asdict(view)),  # Of whole images.
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Cuts the tiles, closes the shortcuts, and draws the orders."""
        config = self.config
        pixels = augment.resize(augment.to_float(images["image"]), (config.size, config.size))
        batch, channels = pixels.shape[0], pixels.shape[3]
        own, common = jax.random.split(key)
        keys = augment.example_keys(own, batch)
        pixels = augment.random_flip(augment.fold_keys(keys, 6), pixels, config.flip_p)
        crops = augment.sample_offsets(augment.fold_keys(keys, 0), 1, config.size - config.crop)
        corners = crops + augment.cell_corners(
            augment.fold_keys(keys, 1), config.cells, self.cell, config.tile, config.channel_shift
        )
        shifts = None
        if config.channel_shift:
            count = config.cells**2 * channels
            shifts = augment.sample_offsets(
                augment.fold_keys(keys, 2), count, config.channel_shift
            ).reshape(batch, -1, channels, 2)
        tiles = augment.cut_tiles(pixels, corners, config.tile, shifts)
        tiles = self._change_colors(keys, tiles)
        labels = self._draw(keys, common)
        orders = jnp.asarray(self.permutations, jnp.int32)[labels]
        tiles = self._normalize(tiles.reshape(-1, *tiles.shape[2:])).reshape(tiles.shape)
        return Question({"tiles": tiles, "orders": orders}, labels)

    def _change_colors(
        self, keys: Key[Array, " batch"], tiles: Float[Array, "batch tiles side side channels"]
    ) -> Float[Array, "batch tiles side side channels"]:
        """Makes some images grey, and projects the colours of some of the rest, all tiles alike."""
        # One above the other, the tiles of an image are one image.
        batch, count, side, _, channels = tiles.shape
        columns = tiles.reshape(batch, count * side, side, channels)
        columns = augment.random_grayscale(augment.fold_keys(keys, 4), columns, self.config.gray_p)
        if self.config.projection_p and channels == 3:
            # What is grey already is left as it is: it lies in the plane.
            chosen = jax.vmap(lambda key: jax.random.bernoulli(key, self.config.projection_p))(
                augment.fold_keys(keys, 3)
            )
            projected = augment.project_colors(columns)
            columns = jnp.where(chosen[:, None, None, None], projected, columns)
        return columns.reshape(tiles.shape)

    def _draw(
        self, keys: Key[Array, " batch"], common: PRNGKeyArray
    ) -> Int[Array, "batch puzzles"]:
        puzzles, most = self.config.puzzles, len(self.permutations)
        if self.config.shared:
            labels = jax.random.permutation(common, most)[:puzzles]
            return jnp.broadcast_to(labels[None], (keys.shape[0], puzzles))
        draw = jax.vmap(lambda key: jax.random.randint(key, (puzzles,), 0, most))
        return draw(augment.fold_keys(keys, 5))

    def _normalize(
        self, tiles: Float[Array, "rows side side channels"]
    ) -> Float[Array, "rows side side channels"]:
        if self.config.normalization == "tile":
            return augment.standardize(tiles)
        return augment.normalize_view(self.view, tiles)

    def loss(
        self, outputs: Outputs, targets: Int[Array, "batch puzzles"]
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Cross-entropy of the permutations, averaged over all puzzles."""
        logits = outputs["logits"]
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, targets)), {}

    def scores(
        self, outputs: Outputs, targets: Int[Array, "batch puzzles"]
    ) -> dict[str, Float[Array, " batch"]]:
        """The share of the puzzles whose permutation is told, and of the tiles whose place is."""
        said = jnp.argmax(outputs["logits"], axis=-1)
        permutations = jnp.asarray(self.permutations, jnp.int32)
        placed = permutations[said] == permutations[targets]
        return {
            "permutation_accuracy": jnp.mean((said == targets).astype(jnp.float32), axis=1),
            "tile_accuracy": jnp.mean(placed.astype(jnp.float32), axis=(1, 2)),
        }

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The first puzzle of each image, the tiles where the answer puts them, and the image."""
        tiles, orders = question.inputs["tiles"], question.inputs["orders"][:, :1]
        tiles = self._shown(tiles)
        seen = put_in_order(tiles, orders)[:, 0]
        said = jnp.argmax(outputs["logits"][:, :1], axis=-1)
        # The tile in place i is said to belong to cell order[i].
        back = jnp.argsort(jnp.asarray(self.permutations, jnp.int32)[said], axis=-1)
        solved = put_in_order(seen, back)[:, 0]
        gap = max(1, self.config.tile // 8)
        columns = [augment.lay_out(x, self.config.cells, gap) for x in (seen, solved, tiles)]
        return jnp.stack(columns, axis=1)

    def _shown(
        self, tiles: Float[Array, "batch tiles side side channels"]
    ) -> Float[Array, "batch tiles side side channels"]:
        if self.config.normalization == "tile":
            return jnp.clip(0.5 + tiles / 5.0, 0.0, 1.0)
        return self.to_pixels(tiles)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The encoder's outputs for whole images, or averaged over the tiles of a tight grid.

        Whole images are normalised by the view's mean and std, so that they keep their brightness
        and their tint; tiles are normalised as those of puzzles are.
        """
        config = self.config
        if config.probe == "whole":
            return encode(augment.center_view(self.view, images))
        size, side = config.probe_size, config.cells * config.tile
        pixels = augment.center_crop(augment.resize(augment.to_float(images), size), side)
        corners = augment.cell_corners(None, config.cells, config.tile, config.tile)
        corners = jnp.broadcast_to(corners, (pixels.shape[0], *corners.shape[1:]))
        tiles = augment.cut_tiles(pixels, corners, config.tile)
        tiles = self._normalize(tiles.reshape(-1, *tiles.shape[2:])).reshape(tiles.shape)
        outputs = encode_each(encode, tiles)
        return {name: jnp.mean(x, axis=1) for name, x in outputs.items()}


class Jigsaw(PretextMethod):
    """Jigsaw puzzles."""

    task_type = JigsawTask
