"""FCOS: every place of a pyramid of maps says what is there, and where its sides are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32, Int32

from ssljax.models.dense.pyramid import level_strides
from ssljax.models.layers.norm import GroupNorm
from ssljax.models.layers.padded import conv
from ssljax.models.roles import Role
from ssljax.ops.box_targets import map_places

LEVEL = "objects"
"""What the maps of a detector are called among its outputs, with their numbers from 1."""

_LARGEST = 8.0
"""Of the power of e by which distances are told: 3,000 strides."""


class FCOSHead(nn.Module):
    """Two towers of 3x3 convolutions with group norm, which all levels share.

    One leads to the classes' scores; the other to the distances of a place from the sides of its
    box, in strides, as powers of e with a learnt factor for each level, and to its center-ness.

    Attributes:
      num_classes: Scores of a place.
      convs: Convolutions of a tower.
      groups: Of the norms; they divide the channels.
      prior: Probability of each class at the start.
      dtype: Type of the towers' arithmetic. Parameters and what is told are float32.

    Reference:
      Tian et al., FCOS (arXiv:1904.01355), 2019, section 3.2. Center-ness beside the distances, and
      distances in strides: `fcos_imprv_R_50_FPN_1x` of tianzhi0549/FCOS, where a ReLU stands for
      the paper's power of e, which is kept here.
    """

    num_classes: int
    convs: int = 4
    groups: int = 32
    prior: float = 0.01
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, maps: Sequence[Float[Array, "batch _height _width channels"]], train: bool
    ) -> list[Float[Array, "batch _height _width told"]]:
        """Reads each map of a pyramid; `train` is unread.

        Args:
          maps: Of one width.
          train: Whether this is a pass in training.

        Returns:
          For each map the classes' logits, four distances in strides (to the top, left, bottom and
          right sides), and the logit of the center-ness, one behind the other.

        Raises:
          ValueError: If the groups do not divide the channels.
        """
        channels = maps[0].shape[3]
        if channels % self.groups:
            raise ValueError(
                f"{self.groups} groups do not divide the pyramid's {channels} channels: set "
                "config.model.head.groups to a divisor of them."
            )
        layers = {
            tower: [self._layer(channels, f"{tower}{i}") for i in range(1, self.convs + 1)]
            for tower in ("class", "box")
        }
        bias = nn.initializers.constant(-math.log((1 - self.prior) / self.prior))
        score = self._last(self.num_classes, "classes", bias)
        measure, centre = self._last(4, "distances"), self._last(1, "center_ness")
        factors = self.param("scales", nn.initializers.ones, (len(maps),), jnp.float32)
        found = []
        for x, factor in zip(maps, factors, strict=True):
            towers = {}
            for name, steps in layers.items():
                y = x.astype(self.dtype)
                for convolution, norm in steps:
                    y = nn.relu(norm(convolution(y), train))
                towers[name] = y.astype(jnp.float32)
            power = jnp.minimum(factor * measure(towers["box"]), _LARGEST)
            told = [score(towers["class"]), jnp.exp(power), centre(towers["box"])]
            found.append(jnp.concatenate(told, axis=3))
        return found

    def _layer(self, channels: int, name: str) -> tuple[nn.Module, nn.Module]:
        options: dict[str, Any] = {"use_bias": True, "kernel_init": nn.initializers.normal(0.01)}
        norm = GroupNorm(self.groups, dtype=self.dtype, name=f"{name}_norm")
        return conv(channels, 3, 1, self.dtype, f"{name}_conv", **options), norm

    def _last(
        self,
        features: int,
        name: str,
        bias: nn.initializers.Initializer = nn.initializers.zeros,
    ) -> nn.Conv:
        start = nn.initializers.normal(0.01)
        options: dict[str, Any] = {"use_bias": True, "kernel_init": start, "bias_init": bias}
        return conv(features, 3, 1, jnp.float32, name, **options)


class DetectionNet(nn.Module):
    """An encoder, a pyramid of its maps, and a head on all of them.

    Attributes:
      encoder: Network with named outputs.
      pyramid: Called as `pyramid(outputs, side)`.
      head: Called as `head(maps, train)`.
      trains_encoder: Whether gradients reach the encoder, its norms use batch statistics and
        values are dropped in it.
    """

    encoder: nn.Module
    pyramid: nn.Module
    head: nn.Module
    trains_encoder: bool = True

    def __call__(
        self, images: Float[Array, "batch side side channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Tells what each place sees.

        Args:
          images: Normalised images.
          train: Whether this is a pass in training.

        Returns:
          The encoder's outputs, and "objects1", "objects2", ...: what the head says of each map,
          the finest first.
        """
        outputs = dict(self.encoder(images, train and self.trains_encoder))
        if not self.trains_encoder:
            outputs = jax.lax.stop_gradient(outputs)
        told = self.head(self.pyramid(outputs, images.shape[1]), train)
        return outputs | {f"{LEVEL}{i}": x for i, x in enumerate(told, start=1)}


class Told(NamedTuple):
    """What the places of all levels say, one behind the other.

    Attributes:
      classes: Logits of the classes.
      distances: From each place to the top, left, bottom and right sides, in pixels.
      center_ness: Its logit.
      places: (down, right) of each place, in pixels.
      strides: Of the level of each place.
      levels: The number of that level, from 0.
    """

    classes: Float[Array, "batch places classes"]
    distances: Float[Array, "batch places 4"]
    center_ness: Float[Array, "batch places"]
    places: Float32[np.ndarray, "places 2"]
    strides: Float32[np.ndarray, " places"]
    levels: Int32[np.ndarray, " places"]


def told_by(outputs: Mapping[str, Array], side: int) -> Told:
    """Reads the outputs of a `DetectionNet`.

    Args:
      outputs: As it gives them, in any order.
      side: Of the images, in pixels.
    """
    count = sum(name.startswith(LEVEL) for name in outputs)
    maps = [outputs[f"{LEVEL}{number}"] for number in range(1, count + 1)]
    strides = level_strides(side, [x.shape[1] for x in maps])
    sizes = [x.shape[1] * x.shape[2] for x in maps]
    rows = jnp.concatenate(
        [x.reshape(x.shape[0], size, x.shape[3]) for x, size in zip(maps, sizes, strict=True)],
        axis=1,
    )
    stride = np.repeat(np.asarray(strides, np.float32), sizes)
    return Told(
        classes=rows[..., :-5],
        distances=rows[..., -5:-1] * stride[None, :, None],
        center_ness=rows[..., -1],
        places=np.concatenate(
            [map_places(x.shape[1], x.shape[2], s) for x, s in zip(maps, strides, strict=True)]
        ),
        strides=stride,
        levels=np.repeat(np.arange(count, dtype=np.int32), sizes),
    )


DETECTION_HEADS: dict[str, Callable[..., nn.Module]] = {"fcos": FCOSHead}

DETECTION_HEAD = Role(
    kind="detection head",
    networks=DETECTION_HEADS,
    options=dict(name="fcos", convs=4, groups=32, dtype="float32"),
)
