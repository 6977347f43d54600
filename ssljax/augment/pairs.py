"""Pairs of images that lie side by side in one."""

import jax.numpy as jnp
from jaxtyping import Array, Num, UInt8

from ssljax.augment.pixels import to_float
from ssljax.augment.resample import resize

Squares = UInt8[Array, "batch side side channels"]


def split_pairs(
    images: Num[Array, "batch height width channels"],
) -> tuple[Squares, Squares]:
    """Parts images into their left and right halves, and makes each of them square.

    Args:
      images: Square images as bytes (uint8), to which pairs of squares were brought: each half is
        twice as high as it should be.

    Returns:
      The left and the right halves, of half the side, as bytes.

    Raises:
      ValueError: If the images are not bytes, or their width is odd.
    """
    width = images.shape[2]
    if width % 2:
        raise ValueError(
            f"Images {width} pixels wide have no two halves: set data.image_size to an even number."
        )
    side = width // 2

    def square(half: Array) -> Array:
        return jnp.round(255.0 * resize(to_float(half), (side, side))).astype(jnp.uint8)

    return square(images[:, :, :side]), square(images[:, :, side:])
