"""VGG networks without their fully connected layers: encoders, and those of perceptual losses."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm, NormFactory
from ssljax.models.layers.padded import check_image_fits, conv, global_average, stage_strides

CONVOLUTIONS = (2, 2, 4, 4, 4)
"""Of the stages of VGG-19."""

CONVOLUTIONS_16 = (2, 2, 3, 3, 3)
"""Of the stages of VGG-16."""


class VGG(nn.Module):
    """Five stages of 3x3 convolutions with ReLUs, and a 2x2 max-pool between two stages.

    Attributes:
      widths: Channels of the stages.
      convolutions: How many a stage has: those of VGG-19, or `CONVOLUTIONS_16`.
      output_stride: Pixels in a place of the last map; 0 for the total stride, 16. From this stride
        on pools are of 3x3 and stride 1, and each stage has twice the dilation of the one before,
        as in DeepLab; the pools before that are of 2x2 here and of 3x3 there.
      batch_norm: Whether a norm stands between a convolution and its ReLU, as in torchvision's
        networks of that name; the paper has none.
      norm: Makes those norms.
      dtype: Type of activations and arithmetic. Parameters and `features` are always float32.

    Reference:
      Simonyan and Zisserman, Very Deep Convolutional Networks (arXiv:1409.1556), 2014, table 1,
      columns D and E. Dilation: Chen et al., DeepLab (arXiv:1606.00915), 2017, section 3.1.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    convolutions: tuple[int, ...] = CONVOLUTIONS
    output_stride: int = 0
    batch_norm: bool = False
    norm: NormFactory = BatchNorm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of each stage.

        Args:
          x: Images, already normalised; at least as large as the total stride.
          train: Whether norms use and update batch statistics.

        Returns:
          `stage1` to `stage5`: activations (batch, height, width, channels) of type `dtype`, of the
          last convolution of a stage after its ReLU (the fifth is the VGG54 of SRGAN); `features`:
          (batch, dim) in float32, the average of `stage5` over positions. Those of every
          convolution, `relu1_1` to `relu5_4`, are sown in the collection `intermediates`.

        Raises:
          ValueError: If the images are too small, there are not five widths or there is no such
            output stride.
        """
        if len(self.widths) != len(self.convolutions):
            raise ValueError(
                f"This VGG has {len(self.convolutions)} stages, and {len(self.widths)} widths are "
                "given."
            )
        steps = stage_strides(1, len(self.widths), self.output_stride)
        check_image_fits(x.shape, self.output_stride or 2 ** (len(steps) - 1), "enlarge them")
        x = x.astype(self.dtype)
        outputs = {}
        stages = zip(self.widths, self.convolutions, steps, strict=True)
        for stage, (width, count, (stride, _, dilation)) in enumerate(stages, start=1):
            if stage > 1 and stride == 2:
                x = nn.max_pool(x, (2, 2), strides=(2, 2))
            elif stage > 1:
                x = nn.max_pool(x, (3, 3), padding="SAME")
            for number in range(1, count + 1):
                name = f"stage{stage}_conv{number}"
                x = conv(width, 3, 1, self.dtype, name, dilation, use_bias=True)(x)
                if self.batch_norm:
                    x = self.norm(dtype=self.dtype, name=f"stage{stage}_norm{number}")(x, train)
                x = nn.relu(x)
                self.sow("intermediates", f"relu{stage}_{number}", x)
            outputs[f"stage{stage}"] = x
        return outputs | {"features": global_average(x)}
