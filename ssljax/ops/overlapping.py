"""Patches of images that may overlap."""

import jax.numpy as jnp
from jaxtyping import Array, Shaped


def overlapping_patches(
    images: Shaped[Array, "batch height width channels"], size: int, stride: int
) -> Shaped[Array, "batch rows columns {size} {size} channels"]:
    """Cuts square patches at the places of a grid.

    Args:
      images: Images of any range.
      size: Side of a patch in pixels.
      stride: Pixels from one patch to the next; what is left at the right and below is not cut.

    Returns:
      The patches, from top left, row by row.

    Raises:
      ValueError: If the patch is larger than the image, or the stride is not above 0.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
      >>> print(overlapping_patches(x, 2, 1).shape)
      (1, 3, 3, 2, 2, 1)
    """
    height, width = images.shape[1:3]
    if stride < 1 or not 0 < size <= min(height, width):
        raise ValueError(
            f"Patches of {size} pixels with a stride of {stride} do not fit {height}x{width} "
            "pixels: the stride must be above 0, and a patch no larger than the image."
        )
    tops, lefts = range(0, height - size + 1, stride), range(0, width - size + 1, stride)
    # Stacked behind the batch axis, so that nothing moves between devices.
    rows = jnp.stack([images[:, top : top + size] for top in tops], axis=1)
    return jnp.stack([rows[:, :, :, left : left + size] for left in lefts], axis=2)
