"""Decoders: from a vector or a small map to an image."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.spectral_norm import Conv, ConvTranspose, Dense
from ssljax.models.registry import build
from ssljax.ops.resampling import nearest_up

TRANSPOSED_KERNEL = 4
RESIZED_KERNEL = 3


class Decoder(nn.Module):
    """Enlarges step by step: each doubles the side.

    A vector becomes, by a linear layer, a map of `widths[0]` channels and the side that so many
    doublings take to `size`; a map that is given has that side already, and a 1x1 convolution gives
    it the channels. Every further width is that of a map of twice the side, and the last doubling
    makes the image. Batch norm and a ReLU follow all layers but the last.

    Attributes:
      size: Side of the image.
      channels: Channels of the image.
      widths: Channels of the hidden maps; as many as there are doublings.
      enlarge: How the side is doubled. "transposed": a transposed convolution of 4x4 pixels and
        stride 2. "resized": every position is repeated, then comes a convolution of 3x3, which
        leaves no pattern of squares.
      tanh: Whether a tanh brings the image to [-1, 1].
      kernel_init: Initialiser of the kernels.
      dtype: Type of activations and arithmetic. Parameters, statistics, the last convolution and
        the image are float32.

    Reference:
      Radford et al., DCGAN (arXiv:1511.06434), 2015. Resizing: Odena et al., Deconvolution and
      Checkerboard Artifacts, 2016.
    """

    size: int
    channels: int
    widths: tuple[int, ...] = (256, 128, 64)
    enlarge: str = "transposed"
    tanh: bool = False
    kernel_init: nn.initializers.Initializer = nn.initializers.he_normal()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, code: Float[Array, "batch dim"] | Float[Array, "batch h w dim"], train: bool
    ) -> Float[Array, "batch {self.size} {self.size} {self.channels}"]:
        """Decodes vectors or maps.

        Args:
          code: Either.
          train: Whether norms use and update batch statistics.

        Returns:
          The images, float32.

        Raises:
          ValueError: If the doublings do not lead to the size, or the way to enlarge is unknown.
        """
        if self.enlarge not in ("transposed", "resized"):
            raise ValueError(
                f"A decoder enlarges by {self.enlarge!r}: it must be 'transposed' or 'resized'."
            )
        doublings = len(self.widths)
        side = self.size >> doublings
        if not doublings or side << doublings != self.size or not side:
            raise ValueError(
                f"{doublings} doublings, one for each of the decoder's widths, do not end at "
                f"{self.size} pixels a side."
            )
        code = code.astype(self.dtype)
        options: dict[str, Any] = dict(kernel_init=self.kernel_init, dtype=self.dtype)
        first, *hidden = self.widths
        if code.ndim == 2:
            dense = Dense(side * side * first, use_bias=False, name="start", **options)
            x = dense(code, train).reshape(-1, side, side, first)
        elif code.shape[1:3] == (side, side):
            x = Conv(first, 1, use_bias=False, name="start", **options)(code, train)
        else:
            height, width = code.shape[1:3]
            raise ValueError(
                f"A decoder of {doublings} doublings makes {self.size} pixels of maps of "
                f"{side}x{side}, and these are {height}x{width}: give it as many widths as there "
                "are halvings before."
            )
        for number, features in enumerate((*hidden, self.channels), start=1):
            x = nn.relu(BatchNorm(dtype=self.dtype, name=f"norm{number - 1}")(x, train))
            last = number == doublings
            if last:
                x, options = x.astype(jnp.float32), options | {"dtype": jnp.float32}
            if self.enlarge == "transposed":
                layer = ConvTranspose(
                    features, TRANSPOSED_KERNEL, 2, last, name=f"up{number}", **options
                )
                x = layer(x, train)
            else:
                x = nearest_up(x, 2)
                x = Conv(features, RESIZED_KERNEL, 1, last, name=f"up{number}", **options)(x, train)
        return jnp.tanh(x) if self.tanh else x


DECODERS: dict[str, Callable[..., nn.Module]] = {
    "transposed": partial(Decoder, enlarge="transposed"),
    "resized": partial(Decoder, enlarge="resized"),
}


def build_decoder(name: str, **options: Any) -> nn.Module:
    """Makes the decoder of that name.

    A decoder is called as `decoder(code, train)`, with a vector or a map for each image, and
    returns images.

    Args:
      name: A key of `DECODERS`.
      **options: Attributes of the decoder, such as `size=32`.

    Returns:
      The module, without parameters.

    Raises:
      ValueError: If the name or an option is unknown.
    """
    return build("decoder", DECODERS, name, options)
