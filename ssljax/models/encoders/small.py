"""A small convolutional network that trains within minutes on a CPU."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm, NormFactory
from ssljax.models.layers.padded import check_image_fits, conv, global_average, stage_strides


class SmallConvNet(nn.Module):
    """A plain stack of 3x3 convolutions with the outputs of a ResNet.

    Each convolution is followed by a norm and a ReLU. The stem has stride `stem_stride`, the
    first stage stride 1, every later stage 2, on its first convolution.

    Attributes:
      widths: Channels of the stages; the stem has as many as the first.
      convs_per_stage: Convolutions of each stage.
      stem_stride: With 2, later layers see a quarter of the positions and take a quarter of the
        time.
      output_stride: Pixels in a place of the last map; stages that would halve it further are
        dilated instead. 0 for the total stride.
      norm: Makes the norms.
      dtype: Type of activations and arithmetic. Parameters, statistics and `features` are always
        float32.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    convs_per_stage: int = 1
    stem_stride: int = 2
    output_stride: int = 0
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
          `stem`, `stage1`, `stage2` ...: activations (batch, height, width, channels) of type
          `dtype`; `features`: (batch, dim) in float32, the average of the last stage over
          positions.

        Raises:
          ValueError: If the images are too small, or there are no stages or no such output stride.
        """
        if not self.widths:
            raise ValueError("The small network has no stages; give at least one width.")
        steps = stage_strides(self.stem_stride, len(self.widths), self.output_stride)
        total_stride = self.output_stride or self.stem_stride * 2 ** (len(self.widths) - 1)
        check_image_fits(x.shape, total_stride, "enlarge them or give fewer widths")

        x = conv(self.widths[0], 3, self.stem_stride, self.dtype, "stem_conv")(x)
        x = nn.relu(self.norm(dtype=self.dtype, name="stem_norm")(x, train))
        outputs = {"stem": x}
        for stage, width in enumerate(self.widths, start=1):
            step, before, dilation = steps[stage - 1]
            for number in range(1, self.convs_per_stage + 1):
                stride, holes = (step, before) if number == 1 else (1, dilation)
                x = conv(width, 3, stride, self.dtype, f"stage{stage}_conv{number}", holes)(x)
                norm = self.norm(dtype=self.dtype, name=f"stage{stage}_norm{number}")
                x = nn.relu(norm(x, train))
            outputs[f"stage{stage}"] = x
        return outputs | {"features": global_average(x)}
