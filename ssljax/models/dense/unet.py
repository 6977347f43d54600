"""The U-Net: a network from images to maps of the same size, with a way past every halving."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm, NormFactory
from ssljax.models.layers.padded import conv
from ssljax.models.layers.spectral_norm import Conv, ConvTranspose


class UNet(nn.Module):
    """Halves the side level by level, and doubles it again beside what each level has seen.

    Two 3x3 convolutions, each with norm and ReLU, make a level; 2x2 max-pools lie between them on
    the way down, transposed 2x2 convolutions on the way up, where the map of the way down is joined
    to the enlarged one. A 1x1 convolution makes the output. The convolutions are padded, so that
    output and input are of one size, and have norms; the paper's do neither.

    Attributes:
      channels: Channels of the output.
      widths: Channels of the levels, the finest first.
      norm: Makes the norms.
      dtype: Type of activations and arithmetic. Parameters, statistics and output are float32.

    Reference:
      Ronneberger et al., U-Net (arXiv:1505.04597), 2015, figure 1.
    """

    channels: int
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    norm: NormFactory = BatchNorm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width in_channels"], train: bool
    ) -> Float[Array, "batch height width {self.channels}"]:
        """Computes a map of every image.

        Args:
          images: Their sides are multiples of 2 to the number of halvings.
          train: Whether norms use and update batch statistics.

        Returns:
          The maps, float32.

        Raises:
          ValueError: If there are no levels, or the images cannot be halved so often.
        """
        height, width = images.shape[1:3]
        multiple = 2 ** (len(self.widths) - 1)
        if not self.widths or height % multiple or width % multiple:
            raise ValueError(
                f"A U-Net of {len(self.widths)} levels takes sides that are multiples of "
                f"{multiple}, and these are {height}x{width}."
            )
        x, passed = images.astype(self.dtype), []
        for level, features in enumerate(self.widths):
            if level:
                x = _max_pool(x)
            x = self._convolutions(x, features, f"down{level}", train)
            passed.append(x)
        for level in reversed(range(len(self.widths) - 1)):
            up = ConvTranspose(
                self.widths[level],
                2,
                2,
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                name=f"enlarge{level}",
            )
            x = jnp.concatenate([passed[level], up(x, train)], axis=-1)
            x = self._convolutions(x, self.widths[level], f"up{level}", train)
        last = Conv(self.channels, 1, kernel_init=nn.initializers.lecun_normal(), name="output")
        return last(x.astype(jnp.float32), train)

    def _convolutions(
        self, x: Float[Array, "batch h w in_features"], features: int, name: str, train: bool
    ) -> Float[Array, "batch h w features"]:
        for number in (1, 2):
            x = conv(features, 3, 1, self.dtype, f"{name}_conv{number}")(x)
            x = nn.relu(self.norm(dtype=self.dtype, name=f"{name}_norm{number}")(x, train))
        return x


def _max_pool(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch half_height half_width channels"]:
    """Halves the side by the largest of 2x2; as a maximum over axes, whose gradient is fast."""
    batch, height, width, channels = x.shape
    return jnp.max(x.reshape(batch, height // 2, 2, width // 2, 2, channels), axis=(2, 4))
