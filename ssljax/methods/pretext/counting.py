"""Learning to count: as much lies in an image as in its tiles together.

Noroozi, Pirsiavash and Favaro, Representation Learning by Learning to Count, 2017.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Num, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question, encode_each

_TILES = 4


class CountingHead(nn.Module):
    """A linear layer and a ReLU on the features: counts are not negative.

    Attributes:
      units: Number of the things that are counted.
      dtype: Type of the arithmetic.
    """

    units: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, encode: Encode, inputs: Float[Array, "batch 5 side side channels"], train: bool
    ) -> Outputs:
        """Counts in every image and tile.

        Args:
          encode: The encoder.
          inputs: Each image, made as small as a tile, and its four tiles.
          train: Unread; there is nothing that differs.

        Returns:
          "counts" (batch, 5, units); "features" (batch, dim) of the small images.
        """
        features = encode_each(encode, inputs)["features"]
        counts = nn.relu(nn.Dense(self.units, dtype=self.dtype, name="counts")(features))
        return {"counts": counts.astype(jnp.float32), "features": features[:, 0]}


class CountingTask(PretextTask):
    """The counts of an image are those of its tiles, and not those of another image.

    The other image is the neighbour in the batch, so that each is the other one of its neighbour;
    at the end of an odd test set, that is a black one.
    A small image is made by a random one of several filters: by a single one, a network could tell
    it from a tile. By several it can still, if less often: a linear model that reads the sharpness
    alone is right about two of three. Where `blur` and `noise` are set, all of them are blurred at
    random as well and get noise, each by itself, see `equalize_sharpness`.
    """

    encoder_options: Mapping[str, Any] = {"norm": models.NoNorm}

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        self.view = augment.view_from_config(config.view)
        self.plain = dataclasses.replace(self.view, mean=None, std=None)
        self.filters = tuple(config.filters)
        unknown = [name for name in self.filters if name not in augment.FILTERS]
        if unknown or not self.filters:
            raise ValueError(
                f"method.filters must be some of {', '.join(augment.FILTERS)}, got {self.filters}."
            )
        if self.view.size % 2 or task.batch_size % 2:
            raise ValueError(
                "Images are cut in halves, and come in pairs: method.view.size and batch_size "
                f"must be even, got {self.view.size} and {task.batch_size}."
            )
        if config.margin <= 0.0 or config.units < 1:
            raise ValueError(
                "method.margin and method.units must be positive, got "
                f"{config.margin} and {config.units}."
            )
        self.margin, self.blur, self.noise = config.margin, tuple(config.blur), config.noise
        augment.check_equalization(self.blur, self.noise)
        self.policies = [(self.plain, 1)]
        self.head = CountingHead(config.units, dtype)
        self.chance = {"counts_own_image": 0.5}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's margin and counts; views for ImageNet, whose tiles have 128 pixels."""
        view = augment.ViewPolicy(256, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD)
        return ConfigDict(
            dict(
                units=1000,
                margin=10.0,  # A squared distance.
                filters=augment.FILTERS,
                blur=(),  # Range of a blur of small images and tiles, in pixels; empty: none.
                noise=0.0,  # Standard deviation of noise on all of them; white is 1.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Makes each image as small as a tile, and cuts its tiles."""
        of_view, drawn = jax.random.split(key)
        whole = augment.make_view(self.plain, of_view, images)
        batch, side, _, channels = whole.shape
        keys = augment.example_keys(drawn, batch)
        draw = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(self.filters)))
        choice = draw(augment.fold_keys(keys, 0))
        small = augment.halve(whole, choice, self.filters)
        half = side // 2
        tiles = whole.reshape(batch, 2, half, 2, half, channels).swapaxes(2, 3)
        tiles = tiles.reshape(batch, _TILES, half, half, channels)
        parts = jnp.concatenate([small[:, None], tiles], axis=1)
        keys = augment.tile_keys(augment.fold_keys(keys, 1), 1 + _TILES)
        # Where places are given, those of padding are negative.
        real = images["index"] >= 0 if "index" in images else ()
        parts = augment.equalize_sharpness(keys, parts, self.blur, self.noise)
        return Question(augment.normalize_view(self.view, parts), real)

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The mean over both directions, in which either image of a pair is the other one."""
        parts = _compared(outputs)
        own, other = losses.counting_distances(*parts)
        logged = {"own_distance": jnp.mean(own), "other_distance": jnp.mean(other)}
        return losses.counting_loss(*parts, margin=self.margin), logged

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """Whether the sum over the tiles is nearer to its own image than to the pair's other one.

        Where that is padding there is nothing to mistake it for, and it has what a guess has.
        """
        own, other = losses.counting_distances(*_compared(outputs))
        told = own != other  # Where all counts are alike, nothing is.
        if not isinstance(targets, tuple):
            told &= _neighbours(targets[:, None])[:, 0]
        return {"counts_own_image": jnp.where(told, (own < other).astype(jnp.float32), 0.5)}

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The small image, the tiles, and counts as maps: its own, the tiles' sum, another's."""
        seen, counts = self.to_pixels(question.inputs), outputs["counts"]
        whole, total = counts[:, 0], jnp.sum(counts[:, 1:], axis=1)
        counts = jnp.stack([whole, total, jnp.roll(whole, 1, axis=0)], axis=1)
        brightest = jnp.max(counts, axis=(1, 2), keepdims=True)
        maps = _as_maps(counts / jnp.maximum(brightest, 1e-6), seen.shape[2])
        maps = jnp.broadcast_to(maps[..., None], (*maps.shape, seen.shape[-1]))
        return jnp.concatenate([seen, maps], axis=1)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The encoder's outputs for whole images, made as small as a tile: it has seen no other."""
        whole = augment.center_view(self.view, images)
        return encode(augment.halve(whole, jnp.zeros(whole.shape[0], jnp.int32), ("area",)))


def _compared(outputs: Outputs) -> tuple[Array, Array, Array]:
    """Counts of the small images, of their tiles, and of the other image of each pair."""
    counts = outputs["counts"]
    return counts[:, 0], counts[:, 1:], _neighbours(counts[:, 0])


def _neighbours(rows: Num[Array, "batch dim"] | Bool[Array, "batch dim"]) -> Array:
    """Swaps the rows of each pair; pairs lie on one device, so that nothing moves."""
    if rows.shape[0] % 2:
        raise ValueError(f"Images come in pairs, and a batch of {rows.shape[0]} is odd.")
    return rows.reshape(-1, 2, rows.shape[1])[:, ::-1].reshape(rows.shape)


def _as_maps(
    counts: Float[Array, "batch parts units"], side: int
) -> Float[Array, "batch parts {side} {side}"]:
    """Lays counts out in squares, row by row, as many as there are pixels for."""
    shown = counts[..., : side**2]
    squares = math.ceil(math.sqrt(shown.shape[-1]))
    padded = jnp.pad(shown, ((0, 0), (0, 0), (0, squares**2 - shown.shape[-1])))
    places = jnp.arange(side) * squares // side
    maps = padded.reshape(*counts.shape[:2], squares, squares)
    return maps[:, :, places][:, :, :, places]


class Counting(PretextMethod):
    """Learning to count."""

    task_type = CountingTask
