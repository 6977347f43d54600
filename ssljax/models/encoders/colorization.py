"""The VGG-like network that the authors of colorization have released."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.convolution import conv_general_dilated
from ssljax.models.layers.norm import BatchNorm, NormFactory
from ssljax.models.layers.padded import KAIMING_FAN_OUT, check_image_fits, global_average

# Channels, convolutions, stride of the last of them, and dilation of all.
_STAGES = (
    (64, 2, 2, 1),
    (128, 2, 2, 1),
    (256, 3, 2, 1),
    (512, 3, 1, 1),
    (512, 3, 1, 2),
    (512, 3, 1, 2),
    (512, 3, 1, 1),
)


class ColorizationVGG(nn.Module):
    """Seven stages of 3x3 convolutions with biases and ReLUs, at an eighth of the resolution.

    The first three stages halve the side by the stride of their last convolution. The fifth and the
    sixth are dilated by 2. A batch norm without scale and offset follows the last ReLU of each
    stage. Kernels start as in He et al. (2015); the authors set them by the activations of data.

    Attributes:
      width: Factor on the channels of every layer.
      norm: Makes the norms.
      dtype: Type of activations and arithmetic. Parameters, statistics and `features` are always
        float32.

    Reference:
      Zhang et al., Colorful Image Colorization (arXiv:1603.08511), 2016; the second version of the
      released model, conv1 to conv7.
    """

    width: float = 1.0
    norm: NormFactory = BatchNorm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of each stage.

        Args:
          x: Images, of one channel as a rule; at least 8x8.
          train: Whether norms use and update batch statistics.

        Returns:
          `stage1` ... `stage7`: activations (batch, height, width, channels) of type `dtype`;
          `features`: (batch, dim) in float32, the average of the last stage over positions.

        Raises:
          ValueError: If the images are too small.
        """
        check_image_fits(x.shape, 8, "enlarge them")
        outputs = {}
        for stage, (channels, convs, last_stride, dilation) in enumerate(_STAGES, start=1):
            for number in range(1, convs + 1):
                stride = last_stride if number == convs else 1
                conv = nn.Conv(
                    round(channels * self.width),
                    (3, 3),
                    strides=(stride, stride),
                    padding=dilation,
                    kernel_dilation=(dilation, dilation),
                    kernel_init=KAIMING_FAN_OUT,
                    dtype=self.dtype,
                    name=f"stage{stage}_conv{number}",
                    conv_general_dilated=conv_general_dilated,
                )
                x = nn.relu(conv(x))
            norm = self.norm(
                use_scale=False, use_bias=False, dtype=self.dtype, name=f"stage{stage}_norm"
            )
            x = norm(x, train)
            outputs[f"stage{stage}"] = x
        return outputs | {"features": global_average(x)}
