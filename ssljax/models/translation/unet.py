"""pix2pix's generator: an encoder to a single place, and a decoder beside all its layers."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.gan.parts import scaled
from ssljax.models.layers.spectral_norm import Conv, ConvTranspose
from ssljax.models.translation.parts import make_norm

CHANNELS, LARGEST, KERNEL = 64, 512, 4
DROPPED, DROPOUT = 3, 0.5


class UNetTranslator(nn.Module):
    """C64-C128-C256-C512 and further C512 down, mirrored up, each beside the layer of its size.

    Convolutions and transposed ones of 4x4 pixels and stride 2, until a place is left of an image
    of 256 pixels. LeakyReLUs of slope 0.2 come before those on the way down, ReLUs before those on
    the way up. The first and the innermost convolution and the last one have no norm after them.
    In training half of what each of the first three layers of the way up gives is dropped; the
    authors drop it in evaluation too, and there take the statistics of the image at hand, where
    this network has neither. All kernels start from a normal distribution of standard deviation
    0.02.

    Unlike `UNet` it has one strided convolution for each level and no pooling.

    Attributes:
      image_channels: Channels of the images that are made.
      depth: Convolutions of the way down; 0 for as many as there are even halvings.
      width: Factor on the channels of every hidden layer.
      norm: `"batch"`, or `"instance"`; before a batch norm convolutions have no bias.
      dtype: Type of activations and arithmetic. Parameters, statistics and images are float32.

    Reference:
      Isola et al., Image-to-Image Translation with Conditional Adversarial Networks
      (arXiv:1611.07004), 2017, appendix 6.1.1.
    """

    image_channels: int = 3
    depth: int = 0
    width: float = 1.0
    norm: str = "batch"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width in_channels"], train: bool
    ) -> Float[Array, "batch height width {self.image_channels}"]:
        """Translates images.

        Args:
          images: In [-1, 1].
          train: Whether batch norms use and update batch statistics, and activations are dropped,
            for which there must be the key "dropout".

        Returns:
          Images in [-1, 1], float32.

        Raises:
          ValueError: If the images cannot be halved so often, or only once.
        """
        depth = self.depth or _halvings(min(images.shape[1:3]))
        if depth < 2 or any(side % 2**depth for side in images.shape[1:3]):
            raise ValueError(
                f"A U-Net halves sides twice or more, {depth} times here, and these images are "
                f"{images.shape[1]}x{images.shape[2]}: set method.view.size to a "
                f"multiple of {2 ** max(depth, 2)}."
            )
        widths = [scaled(min(CHANNELS * 2**i, LARGEST), self.width) for i in range(depth)]
        x, passed = images.astype(self.dtype), []
        for number, features in enumerate(widths, start=1):
            if number > 1:
                passed.append(x)
                x = nn.leaky_relu(x, 0.2)
            x = self._layer(Conv, features, f"down{number}")(x, train)
            x = self._norm(x, f"down{number}", train) if 1 < number < depth else x
        for number, features in enumerate(reversed(widths[:-1]), start=1):
            x = self._layer(ConvTranspose, features, f"up{number}")(nn.relu(x), train)
            x = self._norm(x, f"up{number}", train)
            if number <= DROPPED:
                x = nn.Dropout(DROPOUT)(x, deterministic=not train)
            x = jnp.concatenate([passed.pop(), x], axis=-1)
        last = ConvTranspose(self.image_channels, KERNEL, 2, name="image")
        return jnp.tanh(last(nn.relu(x).astype(jnp.float32), train))

    def _layer(self, kind: Callable[..., nn.Module], features: int, name: str) -> nn.Module:
        has_bias = self.norm != "batch"
        return kind(features, KERNEL, 2, use_bias=has_bias, dtype=self.dtype, name=name)

    def _norm(self, x: Array, name: str, train: bool) -> Array:
        return make_norm(self.norm, self.dtype, f"{name}_norm")(x, train)


def _halvings(side: int) -> int:
    """How often a side can be halved evenly."""
    return (side & -side).bit_length() - 1
