"""What the convolutional encoders share."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.convolution import conv_general_dilated

KAIMING_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
"""He et al. (2015), Eq. 14: normal, variance 2 / (kernel area * output channels)."""


def conv(
    features: int,
    kernel: int,
    stride: int,
    dtype: DTypeLike,
    name: str,
    dilation: int = 1,
    **options: Any,
) -> nn.Conv:
    """Makes a convolution without bias, padded alike on all sides.

    Padding `"SAME"` would pad a stride-2 convolution on the bottom and right alone, which differs
    from the networks whose weights are published.

    An atrous one, of dilation above 1, is `jax.lax`'s own with a dilated kernel: of the forms that
    `python -m benchmarks.atrous` times, which are the batch of a map's subgrids and the patches in
    rows as well, it took least time in all, forwards and backwards, on a CPU.

    Args:
      features: Output channels.
      kernel: Side of the square kernel, odd.
      stride: Step in both directions.
      dtype: Type of the arithmetic; the kernel is float32.
      name: Name of the module, and of its parameters.
      dilation: Places between two rows or columns of the kernel; 1 for none left out.
      **options: Further attributes of the module, or others than these.

    Returns:
      The module.
    """
    given: dict[str, Any] = {
        "strides": (stride, stride),
        "padding": dilation * (kernel // 2),
        "kernel_dilation": (dilation, dilation),
        "use_bias": False,
        "kernel_init": KAIMING_FAN_OUT,
        "dtype": dtype,
        "name": name,
        "conv_general_dilated": conv_general_dilated,
    }
    return nn.Conv(features, (kernel, kernel), **given | options)


def stage_strides(first: int, stages: int, output_stride: int) -> list[tuple[int, int, int]]:
    """The stride and the dilations of each stage of a network whose stages halve the map.

    At the output stride the map stays as it is. What follows a stride that is left out has twice
    the dilation of what comes before it: every second place is as it would have been.

    Args:
      first: Stride of the network up to the first stage, which halves nothing.
      stages: How many there are.
      output_stride: Pixels of the image, in either direction, in a place of the last map; 0 for
        the network's own.

    Returns:
      (stride of the stage's first layer, dilation of that layer, dilation of the later ones) for
      each stage.

    Raises:
      ValueError: If the network has no map of that stride.

    Reference:
      Chen et al., DeepLab (arXiv:1606.00915), 2017, section 3.1.
    """
    known = [first * 2**stage for stage in range(stages)]
    if output_stride and output_stride not in known:
        raise ValueError(
            f"The output stride is {output_stride}; this network's can be "
            f"{', '.join(map(str, known))}."
        )
    most = output_stride or known[-1]
    dilations = [max(1, now // most) for now in known]
    strides = [1, *(2 if now <= most else 1 for now in known[1:])]
    return list(zip(strides, [1, *dilations[:-1]], dilations, strict=True))


def global_average(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch channels"]:
    """Averages over the positions of an image, in float32."""
    return jnp.mean(x.astype(jnp.float32), axis=(1, 2))


def check_image_fits(shape: tuple[Any, ...], total_stride: int, advice: str) -> None:
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
