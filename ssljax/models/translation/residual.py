"""CycleGAN's generator: it shrinks an image twice, changes it in residual blocks, enlarges it."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.gan.parts import scaled
from ssljax.models.layers.spectral_norm import Conv, ConvTranspose
from ssljax.models.translation.parts import make_norm

CHANNELS = (64, 128, 256)


class ResidualTranslator(nn.Module):
    """c7s1-64, d128, d256, residual blocks of 256, u128, u64, c7s1-3 and a tanh.

    The convolutions of 7x7 and of the blocks are padded by reflection, the others by zeros. A norm
    and a ReLU follow every layer but the last; in a block only the first of its two 3x3
    convolutions has a ReLU. All kernels start from a normal distribution of standard deviation
    0.02. Images may be of any size whose sides are multiples of 4.

    Attributes:
      image_channels: Channels of the images that are made.
      blocks: Residual blocks: 9, or 6 for images of 128 pixels.
      width: Factor on the channels of every hidden layer.
      norm: `"instance"`, or `"batch"`; before a batch norm convolutions have no bias.
      dtype: Type of activations and arithmetic. Parameters and images are float32.

    Reference:
      Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks
      (arXiv:1703.10593), 2017, appendix 7.2; Johnson et al., Perceptual Losses for Real-Time Style
      Transfer and Super-Resolution (arXiv:1603.08155), 2016.
    """

    image_channels: int = 3
    blocks: int = 9
    width: float = 1.0
    norm: str = "instance"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width in_channels"], train: bool
    ) -> Float[Array, "batch height width {self.image_channels}"]:
        """Translates images.

        Args:
          images: In [-1, 1].
          train: Whether batch norms use and update batch statistics.

        Returns:
          Images in [-1, 1], float32.

        Raises:
          ValueError: If a side is no multiple of 4, or the norm is unknown.
        """
        height, width = images.shape[1:3]
        if height % 4 or width % 4:
            raise ValueError(
                f"A residual generator takes sides that are multiples of 4, and these are "
                f"{height}x{width}: set method.view.size to one."
            )
        first, middle, last = (scaled(channels, self.width) for channels in CHANNELS)
        x = images.astype(self.dtype)
        x = self._layer(self._conv(first, 7, 1, "stem", reflect=True), x, train)
        x = self._layer(self._conv(middle, 3, 2, "down1"), x, train)
        x = self._layer(self._conv(last, 3, 2, "down2"), x, train)
        for number in range(1, self.blocks + 1):
            one = self._conv(last, 3, 1, f"block{number}_conv1", reflect=True)
            two = self._conv(last, 3, 1, f"block{number}_conv2", reflect=True)
            x = x + self._layer(two, self._layer(one, x, train), train, rectify=False)
        x = self._layer(self._enlarge(middle, "up1"), x, train)
        x = self._layer(self._enlarge(first, "up2"), x, train)
        image = Conv(self.image_channels, 7, reflect=True, name="image")
        return jnp.tanh(image(x.astype(jnp.float32), train))

    def _conv(
        self, features: int, size: int, stride: int, name: str, reflect: bool = False
    ) -> nn.Module:
        return Conv(
            features,
            size,
            stride,
            use_bias=self.norm != "batch",
            dtype=self.dtype,
            reflect=reflect,
            name=name,
        )

    def _enlarge(self, features: int, name: str) -> nn.Module:
        return ConvTranspose(
            features,
            3,
            2,
            use_bias=self.norm != "batch",
            dtype=self.dtype,
            mirrored=True,
            name=name,
        )

    def _layer(self, conv: nn.Module, x: Array, train: bool, rectify: bool = True) -> Array:
        y = make_norm(self.norm, self.dtype, f"{conv.name}_norm")(conv(x, train), train)
        return nn.relu(y) if rectify else y
