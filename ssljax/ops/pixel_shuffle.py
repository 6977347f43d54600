"""Pixels from channels."""

from jaxtyping import Array, Float


def pixel_shuffle(
    x: Float[Array, "batch height width channels"], factor: int
) -> Float[Array, "batch out_height out_width out_channels"]:
    """Enlarges maps by laying their channels out as squares of pixels.

    Args:
      x: Maps; their channels are a multiple of the factor squared.
      factor: By which both sides grow.

    Returns:
      The enlarged maps: pixel (i, j) of each square of channel c is input channel
      (c * factor + i) * factor + j, as in PyTorch.

    Raises:
      ValueError: If the channels do not fill squares.

    Reference:
      Shi et al., Real-Time Single Image and Video Super-Resolution, 2016, eq. 4.

    Example:
      >>> import jax.numpy as jnp
      >>> print(pixel_shuffle(jnp.arange(4.0).reshape(1, 1, 1, 4), 2)[0, :, :, 0])
      [[0. 1.]
       [2. 3.]]
    """
    batch, height, width, channels = x.shape
    if factor < 1 or channels % factor**2:
        raise ValueError(f"{channels} channels do not fill squares of {factor}x{factor} pixels.")
    parts = x.reshape(batch, height, width, channels // factor**2, factor, factor)
    return parts.transpose(0, 1, 4, 2, 5, 3).reshape(batch, height * factor, width * factor, -1)
