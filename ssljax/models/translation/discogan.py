"""DiscoGAN's networks: an encoder and decoder without a bottleneck, and a discriminator."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.gan.dcgan import halvings
from ssljax.models.gan.parts import scaled
from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.spectral_norm import Conv, ConvTranspose

CHANNELS, KERNEL = 64, 4
# The start of the authors' PyTorch, of 2017, which they leave as it is: uniform within the root of
# 1 / inputs, transposed or not. Its batch norms start at random scales in [0, 1), and ours at 1.
INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class DiscoGANTranslator(nn.Module):
    """Convolutions of 64, 128, 256 and 512 channels, and back by transposed ones.

    All have 4x4 pixels, stride 2 and no bias. On the way down a LeakyReLU of slope 0.2 follows, and
    a batch norm before it but for the first; on the way up a batch norm and a ReLU, and a sigmoid
    at the end.

    Attributes:
      image_channels: Channels of the images that are made.
      width: Factor on the channels of every hidden layer.
      dtype: Type of activations and arithmetic. Parameters, statistics and images are float32.

    Reference:
      Kim et al., Learning to Discover Cross-Domain Relations with Generative Adversarial Networks
      (arXiv:1703.05192), 2017, section 4.1, and `discogan/model.py` of the authors' code, without
      its `extra_layers`.
    """

    image_channels: int = 3
    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width in_channels"], train: bool
    ) -> Float[Array, "batch height width {self.image_channels}"]:
        """Translates images.

        Args:
          images: In [0, 1], square; 64 pixels have four convolutions, 32 have three.
          train: Whether norms use and update batch statistics.

        Returns:
          Images in [0, 1], float32.

        Raises:
          ValueError: If halving does not take the images to 3-7 pixels.
        """
        widths = _widths(images, self.width)
        make: Any = dict(use_bias=False, dtype=self.dtype)
        x = images.astype(self.dtype)
        for number, features in enumerate(widths, start=1):
            x = Conv(features, KERNEL, 2, kernel_init=INIT, name=f"down{number}", **make)(x, train)
            if number > 1:
                x = BatchNorm(dtype=self.dtype, name=f"down{number}_norm")(x, train)
            x = nn.leaky_relu(x, 0.2)
        make |= dict(size=KERNEL, stride=2, kernel_init=INIT)
        for number, features in enumerate(reversed(widths[:-1]), start=1):
            x = ConvTranspose(features, name=f"up{number}", **make)(x, train)
            x = nn.relu(BatchNorm(dtype=self.dtype, name=f"up{number}_norm")(x, train))
        last = ConvTranspose(self.image_channels, name="image", **make)(x, train)
        return nn.sigmoid(last.astype(jnp.float32))


class DiscoGANDiscriminator(nn.Module):
    """Convolutions of 64, 128, 256 and 512 channels, and one logit of all that is left.

    As in the way down of `DiscoGANTranslator`; the last convolution has the size of its maps.

    Attributes:
      width: Factor on the channels of every hidden layer.
      dtype: Type of activations and arithmetic. Parameters, statistics, features and logits are
        float32.

    Reference:
      Kim et al., Learning to Discover Cross-Domain Relations with Generative Adversarial Networks
      (arXiv:1703.05192), 2017, section 4.1, and `discogan/model.py` of the authors' code.
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Judges images.

        Args:
          images: In [0, 1], square.
          train: Whether norms use and update batch statistics.

        Returns:
          `block1`, `block2` ...: activations (batch, height, width, channels) of type `dtype`;
          `features` (batch, dim), the last of them laid out; `logits` (batch,), float32.

        Raises:
          ValueError: If halving does not take the images to 3-7 pixels.
        """
        x = images.astype(self.dtype)
        outputs = {}
        for number, features in enumerate(_widths(images, self.width), start=1):
            conv = Conv(
                features,
                KERNEL,
                2,
                use_bias=False,
                kernel_init=INIT,
                dtype=self.dtype,
                name=f"conv{number}",
            )
            x = conv(x, train)
            if number > 1:
                x = BatchNorm(dtype=self.dtype, name=f"norm{number}")(x, train)
            x = outputs[f"block{number}"] = nn.leaky_relu(x, 0.2)
        last = x.astype(jnp.float32)
        logit = Conv(1, x.shape[1], use_bias=False, kernel_init=INIT, padding=0, name="logit")
        return outputs | {
            "features": last.reshape(len(last), -1),
            "logits": logit(last, train)[:, 0, 0, 0],
        }


def _widths(images: Float[Array, "batch height width channels"], width: float) -> list[int]:
    if images.shape[1] != images.shape[2]:
        raise ValueError(f"The images are {images.shape[1]}x{images.shape[2]}: make them square.")
    return [scaled(CHANNELS * 2**stage, width) for stage in range(halvings(images.shape[1])[1])]
