"""A feature pyramid: from the maps of any encoder to maps of one width, each half the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.dense.segmentation import resized
from ssljax.models.layers.padded import conv
from ssljax.models.maps import map_names
from ssljax.models.roles import Role
from ssljax.ops.resampling import nearest_up

_START = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")


class FeaturePyramid(nn.Module):
    """Gives each map of an encoder what the coarser ones know, and adds coarser ones still.

    Of the encoder's maps of one size the deepest is read, if its places are `finest` pixels apart
    or more: of a ResNet the last stages, of a transformer its last block. Each becomes, by a 1x1
    convolution, a map of `channels`, to which the enlarged next coarser one is added; a 3x3
    convolution follows. Maps that are still wanted are made from the coarsest by 3x3 convolutions
    of stride 2, with a ReLU before each but the first.

    Attributes:
      channels: Of all maps.
      finest: Least number of pixels from one place of an encoder's map to the next.
      levels: Maps in all; of the encoder's the finest are read, if it has more.
      dtype: Type of activations and arithmetic; parameters are float32.

    Reference:
      Lin et al., Feature Pyramid Networks (arXiv:1612.03144), 2017, section 3. Coarser maps: Tian
      et al., FCOS (arXiv:1904.01355), 2019, section 3.2: from P5, not from the encoder's map.
    """

    channels: int = 256
    finest: int = 8
    levels: int = 5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, outputs: Mapping[str, Float[Array, "batch ..."]], side: int
    ) -> list[Float[Array, "batch height width {self.channels}"]]:
        """Makes the pyramid.

        Args:
          outputs: Named outputs of the encoder.
          side: Of its images, in pixels.

        Returns:
          The maps, the finest first.

        Raises:
          ValueError: If no map of the encoder is coarse enough.
        """
        names = read_maps(outputs, side, self.finest)[: self.levels]
        maps: list[Array] = []
        for name in reversed(names):
            x = self._conv(1, 1, f"{name}_lateral")(outputs[name].astype(self.dtype))
            maps.insert(0, x + _enlarged(maps[0], *x.shape[1:3]) if maps else x)
        found = [self._conv(3, 1, f"{name}_output")(x) for name, x in zip(names, maps, strict=True)]
        for number in range(1, self.levels - len(names) + 1):
            x = found[-1] if number == 1 else nn.relu(found[-1])
            found.append(self._conv(3, 2, f"extra{number}")(x))
        return found

    def _conv(self, kernel: int, stride: int, name: str) -> nn.Conv:
        options: dict[str, Any] = {"use_bias": True, "kernel_init": _START}
        return conv(self.channels, kernel, stride, self.dtype, name, **options)


def read_maps(outputs: Mapping[str, Any], side: int, finest: int) -> list[str]:
    """The maps of an encoder that a pyramid reads: of each size the deepest, the finest first.

    Args:
      outputs: Named outputs of the encoder, or their shapes.
      side: Of its images, in pixels.
      finest: Least number of pixels from one place to the next.

    Returns:
      Their names.

    Raises:
      ValueError: If there is none.
    """
    by_size = {outputs[name].shape[1]: name for name in map_names(outputs)}
    most = -(-side // finest)
    names = [by_size[rows] for rows in sorted(by_size, reverse=True) if rows <= most]
    if not names:
        raise ValueError(
            f"The encoder has no map of images of {side} pixels whose places are {finest} pixels "
            "apart or more: lower config.model.pyramid.finest, or choose another encoder."
        )
    return names


def level_strides(side: int, rows: Sequence[int]) -> list[float]:
    """Pixels from one place to the next in each map of a pyramid.

    Args:
      side: Of the image, in pixels.
      rows: Of each map, the finest first.

    Returns:
      A power of 2, and twice the last, where a map has as many places as padded convolutions of
      stride 2 leave; else the side over the rows.
    """
    strides: list[float] = []
    for count in rows:
        halved = 1.0
        while -(-side // int(halved)) > count:
            halved *= 2
        is_padded = -(-side // int(halved)) == count
        if strides and count == -(-rows[len(strides) - 1] // 2):
            strides.append(2 * strides[-1])
        else:
            strides.append(halved if is_padded else side / count)
    return strides


def _enlarged(
    x: Float[Array, "batch _height _width channels"], height: int, width: int
) -> Float[Array, "batch {height} {width} channels"]:
    """Repeats each place, where the map is a half; else interpolates."""
    if x.shape[1:3] == (-(-height // 2), -(-width // 2)):
        return nearest_up(x, 2)[:, :height, :width]
    return resized(x, height, width)


PYRAMIDS: dict[str, Callable[..., nn.Module]] = {"fpn": FeaturePyramid}

PYRAMID = Role(
    kind="feature pyramid",
    networks=PYRAMIDS,
    options=dict(name="fpn", channels=256, finest=8, levels=5, dtype="float32"),
)
