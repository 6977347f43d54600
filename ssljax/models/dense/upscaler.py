"""SRResNet's end: from its last map to an image of several times the size."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.encoders.srresnet import prelu
from ssljax.models.layers.spectral_norm import Conv
from ssljax.ops.pixel_shuffle import pixel_shuffle


class Upscaler(nn.Module):
    """For each doubling a 3x3 convolution, pixel shuffle and PReLU; at the end a 9x9 convolution.

    Attributes:
      factor: By which the sides grow, a power of 2.
      image_channels: Channels of the image.
      channels: Channels of the enlarged maps; the convolutions before have four times as many.
      dtype: Type of activations and arithmetic. Parameters, the last convolution and images are
        float32.

    Reference:
      Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
      Network (arXiv:1609.04802), 2017, figure 4.
    """

    factor: int = 4
    image_channels: int = 3
    channels: int = 64
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width dim"], train: bool
    ) -> Float[Array, "batch out_height out_width {self.image_channels}"]:
        """Enlarges maps to images.

        Args:
          x: The trunk's last maps.
          train: Unread; there is nothing that differs.

        Returns:
          Images in [-1, 1], float32; nothing clips them.

        Raises:
          ValueError: If the factor is no power of 2, or 1.
        """
        doublings = self.factor.bit_length() - 1
        if self.factor < 2 or self.factor != 1 << doublings:
            raise ValueError(f"Images cannot be enlarged {self.factor} times by doublings.")
        for number in range(1, doublings + 1):
            conv = Conv(
                4 * self.channels,
                3,
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                name=f"conv{number}",
            )
            x = prelu(pixel_shuffle(conv(x, train), 2), f"prelu{number}")
        last = Conv(
            self.image_channels,
            9,
            kernel_init=nn.initializers.lecun_normal(),
            name="image",
        )
        return last(x.astype(jnp.float32), train)
