"""Residual networks: ResNet-18 to ResNet-152, and wider ones."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm, NormFactory
from ssljax.models.layers.padded import check_image_fits, conv, global_average, stage_strides


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (ResNet-18 and -34).

    Attributes:
      width: Channels of both convolutions and of the output.
      stride: Stride of the first convolution and of the shortcut.
      norm: Makes the norms.
      zero_init_residual: Whether the last norm's scale starts at 0.
      dtype: Type of the arithmetic.
      first_dilation: Dilation of the convolution that has the stride.
      dilation: Of a 3x3 convolution after that.
    """

    width: int
    stride: int
    norm: NormFactory
    zero_init_residual: bool
    dtype: DTypeLike
    first_dilation: int = 1
    dilation: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch out_height out_width out_channels"]:
        """Applies the block."""
        last = _last_scale(self.zero_init_residual)
        y = conv(self.width, 3, self.stride, self.dtype, "conv1", self.first_dilation)(x)
        y = nn.relu(self.norm(dtype=self.dtype, name="norm1")(y, train))
        y = conv(self.width, 3, 1, self.dtype, "conv2", self.dilation)(y)
        y = self.norm(dtype=self.dtype, scale_init=last, name="norm2")(y, train)
        if x.shape != y.shape:
            x = conv(self.width, 1, self.stride, self.dtype, "shortcut_conv")(x)
            x = self.norm(dtype=self.dtype, name="shortcut_norm")(x, train)
        return nn.relu(x + y)


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution with a shortcut (ResNet-50 and deeper).

    The stride is on the 3x3 convolution ("v1.5"), not on the first 1x1 as in the paper.

    Attributes:
      width: Channels of the first two convolutions; the output has four times as many.
      stride: Stride of the 3x3 convolution and of the shortcut.
      norm: Makes the norms.
      zero_init_residual: Whether the last norm's scale starts at 0.
      dtype: Type of the arithmetic.
      first_dilation: Dilation of the 3x3 convolution.
      dilation: Unread: there is none after that.
    """

    width: int
    stride: int
    norm: NormFactory
    zero_init_residual: bool
    dtype: DTypeLike
    first_dilation: int = 1
    dilation: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch out_height out_width out_channels"]:
        """Applies the block."""
        last = _last_scale(self.zero_init_residual)
        y = conv(self.width, 1, 1, self.dtype, "conv1")(x)
        y = nn.relu(self.norm(dtype=self.dtype, name="norm1")(y, train))
        y = conv(self.width, 3, self.stride, self.dtype, "conv2", self.first_dilation)(y)
        y = nn.relu(self.norm(dtype=self.dtype, name="norm2")(y, train))
        y = conv(4 * self.width, 1, 1, self.dtype, "conv3")(y)
        y = self.norm(dtype=self.dtype, scale_init=last, name="norm3")(y, train)
        if x.shape != y.shape:
            x = conv(4 * self.width, 1, self.stride, self.dtype, "shortcut_conv")(x)
            x = self.norm(dtype=self.dtype, name="shortcut_norm")(x, train)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """A residual network that returns what every stage computes.

    Kernels start as in torchvision (normal, fan-out), norms at the identity.

    Attributes:
      stage_sizes: Number of blocks in each of the four stages.
      block: The kind of block.
      width: Factor on the channels of every layer.
      stem: `"imagenet"`: 7x7 convolution of stride 2, then 3x3 max-pool of stride 2; total stride
        of the network 32. `"cifar"`: 3x3 convolution of stride 1, no pool; total stride 8.
      stages: How many of the four there are; what comes after them is left out.
      zero_init_residual: Whether every block starts as its shortcut alone.
      output_stride: Pixels in a place of the last map; stages that would halve it further are
        dilated instead, with the same parameters. 0 for the total stride. DeepLab v2 has 8; its
        own ResNet-101 differs in that a block's stride is on its first 1x1 convolution, so that the
        3x3 after a stride that is left out has the new dilation already, and in that the pool
        rounds an even map up to one place more.
      norm: Makes the norms; `functools.partial(BatchNorm, groups=8)` splits the batch.
      dtype: Type of activations and arithmetic. Parameters, statistics and `features` are always
        float32.

    Reference:
      He et al., Deep Residual Learning (arXiv:1512.03385), 2015, table 1. Stem for small images:
      Chen et al., SimCLR (arXiv:2002.05709), appendix B.9.
    """

    stage_sizes: tuple[int, int, int, int]
    block: type[BasicBlock] | type[Bottleneck]
    width: float = 1
    stem: str = "imagenet"
    stages: int = 4
    zero_init_residual: bool = False
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
          `stem`, `stage1` ... `stage4`: activations (batch, height, width, channels) of type
          `dtype`; `features`: (batch, dim) in float32, the average of the last stage over
          positions.

        Raises:
          ValueError: If the stem is unknown, the images are too small, or there are no such stages
            or no such output stride.
        """
        if self.stem not in ("imagenet", "cifar"):
            raise ValueError(f"The stem is {self.stem!r}; it must be 'imagenet' or 'cifar'.")
        if not 1 <= self.stages <= len(self.stage_sizes):
            raise ValueError(f"A ResNet has 1 to 4 stages, not {self.stages}.")
        small = self.stem == "cifar"
        advice = "enlarge them" if small else "enlarge them or choose stem='cifar'"
        first = 1 if small else 4
        steps = stage_strides(first, self.stages, self.output_stride)
        total = self.output_stride or first * 2 ** (self.stages - 1)
        check_image_fits(x.shape, total, advice)

        channels = round(64 * self.width)
        kernel, stride = (3, 1) if small else (7, 2)
        x = conv(channels, kernel, stride, self.dtype, "stem_conv")(x)
        x = nn.relu(self.norm(dtype=self.dtype, name="stem_norm")(x, train))
        if not small:
            x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        outputs = {"stem": x}
        for stage, blocks in enumerate(self.stage_sizes[: self.stages], start=1):
            step, before, dilation = steps[stage - 1]
            for index in range(1, blocks + 1):
                x = self.block(
                    width=channels * 2 ** (stage - 1),
                    stride=step if index == 1 else 1,
                    norm=self.norm,
                    zero_init_residual=self.zero_init_residual,
                    dtype=self.dtype,
                    first_dilation=before if index == 1 else dilation,
                    dilation=dilation,
                    name=f"stage{stage}_block{index}",
                )(x, train)
            outputs[f"stage{stage}"] = x
        return outputs | {"features": global_average(x)}


def _last_scale(zero: bool) -> nn.initializers.Initializer:
    return nn.initializers.zeros if zero else nn.initializers.ones
