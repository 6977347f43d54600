"""VGG-19 without its fully connected layers: the network of perceptual losses."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.padded import KAIMING_FAN_OUT, check_image_fits, global_average
from ssljax.models.layers.spectral_norm import Conv

CONVOLUTIONS = (2, 2, 4, 4, 4)


class VGG19(nn.Module):
    """Five stages of 3x3 convolutions with ReLUs, and a 2x2 max-pool between two stages.

    Attributes:
      widths: Channels of the stages.
      dtype: Type of activations and arithmetic. Parameters and `features` are always float32.

    Reference:
      Simonyan and Zisserman, Very Deep Convolutional Networks (arXiv:1409.1556), 2014, table 1,
      column E.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of each stage.

        Args:
          x: Images, already normalised; at least as large as the total stride, 16.
          train: Unread; there is nothing that differs.

        Returns:
          `stage1` to `stage5`: activations (batch, height, width, channels) of type `dtype`, of the
          last convolution of a stage after its ReLU (the fifth is the VGG54 of SRGAN); `features`:
          (batch, dim) in float32, the average of `stage5` over positions.

        Raises:
          ValueError: If the images are too small or there are not five widths.
        """
        if len(self.widths) != len(CONVOLUTIONS):
            raise ValueError(f"VGG-19 has five stages, and {len(self.widths)} widths are given.")
        check_image_fits(x.shape, 16, "enlarge them")
        x = x.astype(self.dtype)
        outputs = {}
        for stage, (width, count) in enumerate(
            zip(self.widths, CONVOLUTIONS, strict=True), start=1
        ):
            if stage > 1:
                x = nn.max_pool(x, (2, 2), strides=(2, 2))
            for number in range(1, count + 1):
                conv = Conv(
                    width,
                    3,
                    kernel_init=KAIMING_FAN_OUT,
                    dtype=self.dtype,
                    name=f"stage{stage}_conv{number}",
                )
                x = nn.relu(conv(x, train))
            outputs[f"stage{stage}"] = x
        return outputs | {"features": global_average(x)}
