"""PatchGAN: a discriminator that judges overlapping patches of an image, each on its own."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.gan.parts import scaled
from ssljax.models.layers.padded import global_average
from ssljax.models.layers.spectral_norm import Conv
from ssljax.models.roles import Role
from ssljax.models.translation.parts import make_norm

CHANNELS, LARGEST, KERNEL = 64, 512, 4


class PatchDiscriminator(nn.Module):
    """C64-C128-C256-C512 and a logit for each place: every logit sees 70x70 pixels.

    Convolutions of 4x4, of stride 2 but for the last two, padded by one pixel. Each has a LeakyReLU
    of slope 0.2, and each but the first a norm before it. All kernels start from a normal
    distribution of standard deviation 0.02.

    Attributes:
      layers: Convolutions of stride 2: 3 for patches of 70 pixels, 2 for 34, 1 for 16.
      width: Factor on the channels of every hidden layer.
      norm: `"instance"`, or `"batch"`; before a batch norm convolutions have no bias.
      dtype: Type of activations and arithmetic. Parameters, features and logits are float32.

    Reference:
      Isola et al., Image-to-Image Translation with Conditional Adversarial Networks
      (arXiv:1611.07004), 2017, section 3.2.2 and appendix 6.1.2.
    """

    layers: int = 3
    width: float = 1.0
    norm: str = "instance"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Judges images.

        Args:
          images: In [-1, 1].
          train: Whether batch norms use and update batch statistics.

        Returns:
          `block1`, `block2` ...: activations (batch, height, width, channels) of type `dtype`;
          `features` (batch, dim), the means of the last; `logits` (batch, rows, columns), float32.

        Raises:
          ValueError: If the images are too small, or the norm is unknown.
        """
        least = 3 * 2**self.layers  # So that three places are left before the last two layers.
        if min(images.shape[1:3]) < least:
            raise ValueError(
                f"A discriminator of patches with {self.layers} halvings needs images of at least "
                f"{least} pixels, and these have {images.shape[1]}x{images.shape[2]}: lower "
                "model.discriminator.layers."
            )
        x = images.astype(self.dtype)
        outputs = {}
        for number in range(1, self.layers + 2):
            normed = number > 1
            conv = Conv(
                scaled(min(CHANNELS * 2 ** (number - 1), LARGEST), self.width),
                KERNEL,
                2 if number <= self.layers else 1,
                use_bias=not normed or self.norm != "batch",
                dtype=self.dtype,
                padding=1,
                name=f"conv{number}",
            )
            x = conv(x, train)
            if normed:
                x = make_norm(self.norm, self.dtype, f"norm{number}")(x, train)
            x = outputs[f"block{number}"] = nn.leaky_relu(x, 0.2)
        logits = Conv(1, KERNEL, padding=1, name="logits")(x.astype(jnp.float32), train)
        return outputs | {"features": global_average(x), "logits": logits[..., 0]}


PATCH_DISCRIMINATOR = Role(
    kind="discriminator of patches",
    networks={"patch": PatchDiscriminator},
    options=dict(name="patch", width=1.0, layers=0, norm="", dtype="float32"),
)
"""An option that is empty or 0 stands for the network's own."""
