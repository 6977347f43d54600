"""SRResNet's trunk: residual blocks that keep the size of a small image."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm, NormFactory
from ssljax.models.layers.padded import global_average
from ssljax.models.layers.spectral_norm import Conv

_STAGES = 4


class SRResNet(nn.Module):
    """A 9x9 convolution, residual blocks, a last convolution, and a shortcut around the blocks.

    A block is a 3x3 convolution, norm, PReLU, another convolution and norm, + shortcut. What
    enlarges the image is the head of super-resolution.

    Attributes:
      blocks: Number of blocks, a multiple of 4.
      channels: Channels of all layers.
      norm: Makes the norms.
      dtype: Type of activations and arithmetic. Parameters, statistics and `features` are always
        float32.

    Reference:
      Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
      Network (arXiv:1609.04802), 2017, figure 4.
    """

    blocks: int = 16
    channels: int = 64
    norm: NormFactory = BatchNorm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of each quarter of the blocks.

        Args:
          x: Images in [0, 1].
          train: Whether norms use and update batch statistics.

        Returns:
          `stem`, `stage1` to `stage4`: activations (batch, height, width, channels) of type
          `dtype`, the last of them after the shortcut around all blocks; `features`: (batch, dim)
          in float32, its average over positions.

        Raises:
          ValueError: If the blocks cannot be quartered.
        """
        if self.blocks < _STAGES or self.blocks % _STAGES:
            raise ValueError(f"SRResNet has {self.blocks} blocks; it must be a multiple of 4.")
        x = self._conv(9, "stem_conv")(x.astype(self.dtype), train)
        x = stem = prelu(x, "stem_prelu")
        outputs = {"stem": stem}
        for block in range(1, self.blocks + 1):
            y = self._conv(3, f"block{block}_conv1", False)(x, train)
            y = self.norm(dtype=self.dtype, name=f"block{block}_norm1")(y, train)
            y = prelu(y, f"block{block}_prelu")
            y = self._conv(3, f"block{block}_conv2", False)(y, train)
            x = x + self.norm(dtype=self.dtype, name=f"block{block}_norm2")(y, train)
            if block % (self.blocks // _STAGES) == 0:
                outputs[f"stage{block * _STAGES // self.blocks}"] = x
        y = self._conv(3, "last_conv", False)(x, train)
        x = stem + self.norm(dtype=self.dtype, name="last_norm")(y, train)
        return outputs | {f"stage{_STAGES}": x, "features": global_average(x)}

    def _conv(self, size: int, name: str, use_bias: bool = True) -> Conv:
        init = nn.initializers.he_normal()
        return Conv(
            self.channels, size, use_bias=use_bias, kernel_init=init, dtype=self.dtype, name=name
        )


def prelu(
    x: Float[Array, "batch height width channels"], name: str
) -> Float[Array, "batch height width channels"]:
    """A rectifier with a learnt slope below 0, which starts at a quarter; in a compact method."""
    return nn.PReLU(negative_slope_init=0.25, name=name)(x)
