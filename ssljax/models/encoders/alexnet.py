"""AlexNet without groups, as pretext tasks have it."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.convolution import conv_general_dilated
from ssljax.models.layers.norm import BatchNorm, NoNorm, NormFactory
from ssljax.models.layers.padded import check_image_fits, global_average

_KERNELS = (11, 5, 3, 3, 3)
_PADDING = (2, 2, 1, 1, 1)
_POOLED = (1, 2, 5)
"""Convolutions whose output is pooled before the next layer."""


class AlexNet(nn.Module):
    """Five convolutions, each with a norm and a ReLU, and then perhaps fully connected layers.

    With the widths of the fully connected layers (4096, 4096) it is RotNet's network for ImageNet
    without its classifier: convolutions of 64, 192, 384, 256 and 256 channels that keep their
    biases beside the norm, and fully connected layers without.

    Attributes:
      widths: Channels of the five convolutions.
      fc_widths: Units of the fully connected layers, which stand on the pooled `conv5`; with them
        the network is made for one size of image. Without any, `features` is the mean of `conv5`.
      stem_stride: Stride of the first convolution. The small tiles of a jigsaw take 2.
      norm: Makes the norms; `NoNorm` leaves none.
      dtype: Type of activations and arithmetic. Parameters, statistics and `features` are always
        float32.

    Reference:
      Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural
      Networks, 2012, in the layout of Krizhevsky (arXiv:1404.5997), 2014. Gidaris, Singh and
      Komodakis (arXiv:1803.07728), 2018, for the norms.
    """

    widths: tuple[int, ...] = (64, 192, 384, 256, 256)
    fc_widths: tuple[int, ...] = ()
    stem_stride: int = 4
    norm: NormFactory = BatchNorm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of each convolution.

        Args:
          x: Images, already normalised; of 227 pixels or 224 in the papers.
          train: Whether norms use and update batch statistics.

        Returns:
          `conv1` ... `conv5`: activations (batch, height, width, channels) of type `dtype`, before
          any pooling; `features`: (batch, dim) in float32, of the last fully connected layer or
          the average of `conv5` over positions.

        Raises:
          ValueError: If there are not five widths or the images are too small.
        """
        if len(self.widths) != len(_KERNELS):
            raise ValueError(f"AlexNet has five convolutions, got the widths {self.widths}.")
        # Pools of 3 with stride 2 leave one place of 7, or of 15 where a third one follows.
        places = 15 if self.fc_widths else 7
        least = (places - 1) * self.stem_stride + _KERNELS[0] - 2 * _PADDING[0]
        check_image_fits(x.shape, least, "enlarge them or choose a smaller stem_stride")

        x = x.astype(self.dtype)
        outputs = {}
        for number, width in enumerate(self.widths, start=1):
            kernel = _KERNELS[number - 1]
            stride = self.stem_stride if number == 1 else 1
            x = nn.Conv(
                width,
                (kernel, kernel),
                strides=(stride, stride),
                padding=_PADDING[number - 1],
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                name=f"conv{number}_conv",
                conv_general_dilated=conv_general_dilated,
            )(x)
            x = nn.relu(self.norm(dtype=self.dtype, name=f"conv{number}_norm")(x, train))
            outputs[f"conv{number}"] = x
            if number in _POOLED and (number < len(self.widths) or self.fc_widths):
                x = nn.max_pool(x, (3, 3), strides=(2, 2))
        if not self.fc_widths:
            return outputs | {"features": global_average(x)}
        x = x.reshape(x.shape[0], -1)
        for number, width in enumerate(self.fc_widths, start=6):
            norm = self.norm(dtype=self.dtype, name=f"fc{number}_norm")
            x = nn.Dense(
                width,
                use_bias=isinstance(norm, NoNorm),
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                name=f"fc{number}",
            )(x)
            x = nn.relu(norm(x, train))
        return outputs | {"features": x.astype(jnp.float32)}
