"""The dilated front end: VGG-16 with holes in place of its last pools, and no zeros at borders."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.encoders.vgg import CONVOLUTIONS_16
from ssljax.models.layers.padded import conv, global_average

MARGIN = 186
"""Pixels that the valid convolutions take from each side of an image."""

_STRIDE = 8


class DilatedVGG(nn.Module):
    """VGG-16 without its fourth and fifth pool, and its fully connected layers as convolutions.

    The fifth stage has dilation 2, the first fully connected layer is a 7x7 convolution of dilation
    4, and the second a 1x1. All convolutions are valid ones: what they take from the borders is the
    image's mirror image, without its outermost pixel, of 186 pixels on each side. With a linear
    head that starts normal with deviation 0.001 it is the paper's front end.

    Attributes:
      widths: Channels of the five stages, and of the two layers that were fully connected.
      dropout: Share of the values of those two that is dropped in training.
      dtype: Type of activations and arithmetic. Parameters and `features` are always float32.

    Reference:
      Yu and Koltun, Multi-Scale Context Aggregation by Dilated Convolutions (arXiv:1511.07122),
      2016, section 4; `train.py` of fyu/dilation.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 4096, 4096)
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of each stage.

        Args:
          x: Images, already normalised, whose sides are multiples of 8.
          train: Whether values are dropped.

        Returns:
          `stage1` to `stage7`: activations (batch, height, width, channels) of type `dtype`, the
          last with an eighth of the image's sides, the others with the margin that later layers
          take; `features`: (batch, dim) in float32, the average of `stage7` over positions.

        Raises:
          ValueError: If there are not seven widths or the images do not fit.
        """
        height, width = x.shape[1:3]
        stages = len(CONVOLUTIONS_16)
        if len(self.widths) != stages + 2:
            raise ValueError(
                f"The dilated VGG has seven layers, and {len(self.widths)} widths are given."
            )
        if height % _STRIDE or width % _STRIDE or not height * width:
            raise ValueError(
                f"Images of {height}x{width} pixels do not fit the dilated VGG, whose valid pools "
                f"need sides that are multiples of {_STRIDE}: change their size."
            )
        around = (MARGIN, MARGIN)
        x = jnp.pad(x.astype(self.dtype), ((0, 0), around, around, (0, 0)), mode="reflect")
        outputs = {}
        for stage, count in enumerate(CONVOLUTIONS_16, start=1):
            if 1 < stage < stages:
                x = nn.max_pool(x, (2, 2), strides=(2, 2))
            dilation = 2 if stage == stages else 1
            for number in range(1, count + 1):
                x = nn.relu(self._conv(stage, 3, dilation, f"stage{stage}_conv{number}")(x))
            outputs[f"stage{stage}"] = x
        for stage, kernel, dilation in ((stages + 1, 7, 4), (stages + 2, 1, 1)):
            x = nn.relu(self._conv(stage, kernel, dilation, f"stage{stage}_conv1")(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            outputs[f"stage{stage}"] = x
        return outputs | {"features": global_average(x)}

    def _conv(self, stage: int, kernel: int, dilation: int, name: str) -> nn.Conv:
        return conv(
            self.widths[stage - 1],
            kernel,
            1,
            self.dtype,
            name,
            dilation,
            padding=0,
            use_bias=True,
        )
