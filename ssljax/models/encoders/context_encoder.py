"""The encoder of the context encoder: strided convolutions, as in a DCGAN's discriminator."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm, NormFactory
from ssljax.models.layers.padded import check_image_fits, global_average
from ssljax.models.layers.spectral_norm import DCGAN_INIT, Conv


class ContextEncoderNet(nn.Module):
    """4x4 convolutions of stride 2, each with batch norm (but the first) and a LeakyReLU of 0.2.

    Kernels start normal with deviation 0.02, scales normal about 1 with the same. There are no
    biases: the authors' code sets those of all convolutions back to 0 before every step.

    Attributes:
      widths: Channels of the convolutions.
      norm: Makes the norms.
      dtype: Type of activations and arithmetic. Parameters, statistics and `features` are always
        float32.

    Reference:
      Pathak et al., Context Encoders (arXiv:1604.07379), 2016, figure 9; `train.lua` of
      pathak22/context-encoder.
    """

    widths: tuple[int, ...] = (64, 64, 128, 256, 512)
    norm: NormFactory = BatchNorm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of each convolution.

        Args:
          x: Images, already normalised; at least as large as the total stride.
          train: Whether norms use and update batch statistics.

        Returns:
          `stage1`, `stage2` ...: activations (batch, height, width, channels) of type `dtype`;
          `features`: (batch, dim) in float32, the average of the last over positions.

        Raises:
          ValueError: If the images are too small.
        """
        check_image_fits(x.shape, 2 ** len(self.widths), "enlarge them or give fewer widths")
        outputs = {}
        for stage, width in enumerate(self.widths, start=1):
            conv = Conv(width, 4, 2, use_bias=False, dtype=self.dtype, name=f"conv{stage}")
            x = conv(x, train)
            if stage > 1:
                norm = self.norm(dtype=self.dtype, scale_init=_near_one, name=f"norm{stage}")
                x = norm(x, train)
            x = nn.leaky_relu(x, 0.2)
            outputs[f"stage{stage}"] = x
        return outputs | {"features": global_average(x)}


def _near_one(
    key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "..."]:
    return 1.0 + DCGAN_INIT(key, shape, dtype)
