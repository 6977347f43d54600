"""Images as sequences of square patches, and back."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Int, Shaped


def patch_grid(shape: tuple[Any, ...], patch_size: int) -> tuple[int, int]:
    """Counts the patches of an image.

    Args:
      shape: Shape of the images, (batch, height, width, channels); the batch may be of any size.
      patch_size: Side of a patch in pixels.

    Returns:
      Rows and columns of patches.

    Raises:
      ValueError: If the patches do not fill the image exactly.
    """
    _, height, width, _ = shape
    if patch_size < 1 or height % patch_size or width % patch_size or not height * width:
        raise ValueError(
            f"Images of {height}x{width} pixels cannot be cut into patches of {patch_size}x"
            f"{patch_size}: give sides that are multiples of the patch size, or another patch size."
        )
    return height // patch_size, width // patch_size


def patchify(
    images: Shaped[Array, "batch height width channels"], patch_size: int
) -> Shaped[Array, "batch patches values"]:
    """Cuts images into patches that do not overlap.

    Args:
      images: Images; height and width are multiples of `patch_size`.
      patch_size: Side of a patch in pixels.

    Returns:
      The patches, row by row of the image; in each the values go by row, column and channel.

    Raises:
      ValueError: If the patches do not fill the image exactly.
    """
    rows, columns = patch_grid(images.shape, patch_size)
    batch, _, _, channels = images.shape
    x = images.reshape(batch, rows, patch_size, columns, patch_size, channels)
    return x.swapaxes(2, 3).reshape(batch, rows * columns, patch_size * patch_size * channels)


def unpatchify(
    patches: Shaped[Array, "batch patches values"], grid: tuple[int, int], patch_size: int
) -> Shaped[Array, "batch height width channels"]:
    """Assembles images from patches: the inverse of `patchify`.

    Args:
      patches: Patches in the order of `patchify`.
      grid: Rows and columns of patches.
      patch_size: Side of a patch in pixels.

    Returns:
      The images.

    Raises:
      ValueError: If the grid or the patch size does not fit the patches.
    """
    batch, count, values = patches.shape
    rows, columns = grid
    channels, rest = divmod(values, patch_size * patch_size)
    if rows * columns != count or rest:
        raise ValueError(
            f"{count} patches of {values} values do not make an image of {rows}x{columns} patches "
            f"of {patch_size}x{patch_size} pixels."
        )
    x = patches.reshape(batch, rows, columns, patch_size, patch_size, channels)
    return x.swapaxes(2, 3).reshape(batch, rows * patch_size, columns * patch_size, channels)


def take_tokens(
    tokens: Shaped[Array, "batch tokens dim"], places: Int[Array, "batch taken"]
) -> Shaped[Array, "batch taken dim"]:
    """Picks tokens of each example.

    Args:
      tokens: Tokens or patches.
      places: Which ones to take, in [0, tokens).

    Returns:
      The tokens at those places, in that order.
    """
    return jnp.take_along_axis(tokens, places[:, :, None], axis=1)
