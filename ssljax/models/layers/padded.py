"""What the convolutional encoders share."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.convolution import conv_general_dilated

KAIMING_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
"""He et al. (2015), Eq. 14: normal, variance 2 / (kernel area * output channels)."""


def conv(features: int, kernel: int, stride: int, dtype: DTypeLike, name: str) -> nn.Conv:
    """Makes a convolution without bias, padded alike on all sides.

    Padding `"SAME"` would pad a stride-2 convolution on the bottom and right alone, which differs
    from the networks whose weights are published.

    Args:
      features: Output channels.
      kernel: Side of the square kernel, odd.
      stride: Step in both directions.
      dtype: Type of the arithmetic; the kernel is float32.
      name: Name of the module, and of its parameters.

    Returns:
      The module.
    """
    return nn.Conv(
        features,
        (kernel, kernel),
        strides=(stride, stride),
        padding=kernel // 2,
        use_bias=False,
        kernel_init=KAIMING_FAN_OUT,
        dtype=dtype,
        name=name,
        conv_general_dilated=conv_general_dilated,
    )


def global_average(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch channels"]:
    """Averages over the positions of an image, in float32."""
    return jnp.mean(x.astype(jnp.float32), axis=(1, 2))


def check_image_fits(shape: tuple[int, ...], total_stride: int, advice: str) -> None:
    """Refuses images that the network would shrink to less than one position.

    Args:
      shape: Shape of the images, (batch, height, width, channels).
      total_stride: Product of the strides of the network.
      advice: What the user can do, for the message.

    Raises:
      ValueError: If an image is smaller than the total stride in either direction.
    """
    _, height, width, _ = shape
    if min(height, width) < total_stride:
        raise ValueError(
            f"Images of {height}x{width} pixels do not fit a network of total stride "
            f"{total_stride}, which needs at least {total_stride}x{total_stride}: {advice}."
        )
