"""Layers with an equalised learning rate: weights of one scale, which the pass itself scales.

Karras et al., Progressive Growing of GANs (arXiv:1710.10196), 2018, section 4.1.
"""

import math
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.convolution import conv_general_dilated, conv_transpose

GAIN = math.sqrt(2.0)
"""He's gain, of layers that a rectifier follows; a linear layer has 1."""


class EqualizedConv(nn.Module):
    """A convolution whose output has the input's size, or is twice or half as large.

    The kernel starts from a normal distribution of standard deviation 1, and every pass multiplies
    it by `gain / sqrt(size ** 2 * channels)`, so that the steps of Adam are of one relative size in
    all layers. The bias starts from 0 and is not scaled.

    Attributes:
      features: Output channels.
      size: Side of the square kernel; odd.
      gain: Standard deviation of the output for independent inputs of mean square 1.
      resample: "": the convolution alone. "up": each place is repeated to a square of 2x2 before
        it, and "down": squares of 2x2 are averaged after it, before the bias; for both the kernel
        is blurred and one convolution of stride 2 made, as in the authors' code. They take a kernel
        of 3x3.
      dtype: Type of the arithmetic; kernel and bias are float32.
    """

    features: int
    size: int = 3
    gain: float = GAIN
    resample: Literal["", "up", "down"] = ""
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch out_height out_width features"]:
        """Applies the convolution."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = _scaled_kernel(self, shape, self.gain)
        x = x.astype(self.dtype)
        if self.resample == "up":
            y = conv_transpose(x, _blurred(kernel).astype(self.dtype), 2)
        else:
            down = self.resample == "down"
            stride, margin = 1 + down, self.size // 2
            y = conv_general_dilated(
                x,
                (0.25 * _blurred(kernel) if down else kernel).astype(self.dtype),
                window_strides=(stride, stride),
                padding=((margin, margin), (margin, margin)),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        return add_bias(self, y)


class EqualizedDense(nn.Module):
    """A linear layer of the same kind; attributes as of `EqualizedConv`."""

    features: int
    gain: float = GAIN
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch inputs"]) -> Float[Array, "batch features"]:
        """Applies the layer."""
        kernel = _scaled_kernel(self, (x.shape[-1], self.features), self.gain)
        y = x.astype(self.dtype) @ kernel.astype(self.dtype)
        return add_bias(self, y) if self.use_bias else y


def add_bias(
    layer: nn.Module, y: Float[Array, "*places features"]
) -> Float[Array, "*places features"]:
    """Adds the layer's parameter "bias", one number a channel, which starts from 0."""
    bias = layer.param("bias", nn.initializers.zeros, y.shape[-1:], jnp.float32)
    return y + bias.astype(y.dtype).reshape([1] * (y.ndim - 1) + [-1])


def _scaled_kernel(
    layer: nn.Module, shape: tuple[int, ...], gain: float
) -> Float[Array, "*inputs outputs"]:
    """Makes the parameter "kernel", and gives it as the pass uses it."""
    kernel = layer.param("kernel", nn.initializers.normal(1.0), shape, jnp.float32)
    scaled: Array = kernel * (gain / math.sqrt(math.prod(shape[:-1])))
    return scaled


def _blurred(
    kernel: Float[Array, "rows columns channels features"],
) -> Float[Array, "more_rows more_columns channels features"]:
    """The sum of the kernel and its shifts by one place in each direction and in both."""
    padded = jnp.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
    rows = padded[1:] + padded[:-1]
    return rows[:, 1:] + rows[:, :-1]
