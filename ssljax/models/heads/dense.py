"""A head that predicts something at every place of an image."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.convolution import conv_general_dilated
from ssljax.models.layers.padded import KAIMING_FAN_OUT
from ssljax.models.layers.spectral_norm import ConvTranspose

_CONVS = 2


class DenseHead(nn.Module):
    """Doubles the side of an encoder's map as often as it takes, and predicts at each place.

    A doubling is a transposed convolution of 4x4 and stride 2. Two 3x3 convolutions follow, all
    with biases and ReLUs, and a 1x1 convolution.

    Attributes:
      side: Places along a side of the result.
      values: Predicted at each place, such as the scores of classes.
      width: Channels of the hidden layers.
      dtype: Type of the arithmetic of all layers but the last, which is in float32, as parameters
        and results are.

    Reference:
      Zhang et al., Colorful Image Colorization (arXiv:1603.08511), 2016: the layers conv8 of the
      released second version, with 256 channels.
    """

    side: int
    values: int
    width: int = 256
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch {self.side} {self.side} {self.values}"]:
        """Predicts.

        Args:
          x: A map.
          train: Unread; there is nothing that differs.

        Returns:
          The predictions, float32.

        Raises:
          ValueError: If no doublings lead from the map to the side.
        """
        height, width = x.shape[1:3]
        doublings = max(self.side // height, 1).bit_length() - 1
        if height != width or height << doublings != self.side:
            raise ValueError(
                f"The encoder's last map has {height}x{width} places, from which no doublings lead "
                f"to the {self.side}x{self.side} that are to be predicted: change the views' size, "
                "the encoder's stride or the resolution of the predictions."
            )
        for number in range(1, doublings + 1):
            layer = ConvTranspose(
                self.width,
                size=4,
                stride=2,
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                name=f"up{number}",
            )
            x = nn.relu(layer(x, train))
        for number in range(1, _CONVS + 1):
            x = nn.relu(self._conv(self.width, 3, f"conv{number}", self.dtype)(x))
        return self._conv(self.values, 1, "predictions", jnp.float32)(x.astype(jnp.float32))

    def _conv(self, features: int, kernel: int, name: str, dtype: DTypeLike) -> nn.Conv:
        return nn.Conv(
            features,
            (kernel, kernel),
            padding=kernel // 2,
            kernel_init=KAIMING_FAN_OUT,
            dtype=dtype,
            name=name,
            conv_general_dilated=conv_general_dilated,
        )
