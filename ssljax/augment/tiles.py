"""Tiles of images: where they lie, and cutting them out.

Corners are whole pixels, (top, left). The tiles of an image lie side by side, on an axis of their
own, in the order in which one reads.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ssljax.augment.keys import between, fold_keys, uniform


def tile_keys(keys: Key[Array, " batch"], tiles: int) -> Key[Array, "batch {tiles}"]:
    """Gives every tile of every image a key that depends on the image's and its number alone."""
    return jnp.stack([fold_keys(keys, number) for number in range(tiles)], axis=1)


def sample_offsets(
    keys: Key[Array, " batch"], count: int, most: int
) -> Int[Array, "batch {count} 2"]:
    """Draws pairs of whole numbers from 0 to `most`, both included."""
    draw = jax.vmap(lambda key: jax.random.randint(key, (count, 2), 0, most + 1))
    return draw(keys)


def cell_corners(
    keys: Key[Array, " batch"] | None, cells: int, cell: int, tile: int, room: int = 0
) -> Int[Array, "batch tiles 2"]:
    """Places one tile in every cell of a grid, at random or in its middle.

    Args:
      keys: One key per example; None for the middle of the cells, with a batch of 1.
      cells: Cells a side.
      cell: Side of a cell in pixels.
      tile: Side of a tile in pixels.
      room: Pixels below and right of the tile that stay inside the cell, for its colours' shifts.

    Returns:
      The corners of the cells^2 tiles, in pixels from the grid's.

    Raises:
      ValueError: If a tile does not fit in its cell.

    Reference:
      Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles,
      2016.
    """
    slack = cell - tile - room
    if slack < 0:
        raise ValueError(f"a tile of {tile + room} pixels does not fit in a cell of {cell}.")
    corners = _lattice(cells, cell)[None]
    if keys is None:
        return corners + slack // 2
    return corners + sample_offsets(keys, cells**2, slack)


def grid_corners(
    keys: Key[Array, " batch"], cells: int, tile: int, gap: int, jitter: int
) -> Int[Array, "batch tiles 2"]:
    """Places tiles on a grid with gaps, and moves each by some pixels either way.

    Args:
      keys: One key per example.
      cells: Tiles a side.
      tile: Side of a tile in pixels.
      gap: Pixels between neighbours, before they are moved.
      jitter: Most pixels that a tile is moved by.

    Returns:
      The corners of the cells^2 tiles, in pixels from that of the square of `grid_side`.

    Reference:
      Doersch, Gupta and Efros, Unsupervised Visual Representation Learning by Context Prediction,
      2015, section 3.1.
    """
    return _lattice(cells, tile + gap)[None] + sample_offsets(keys, cells**2, 2 * jitter)


def grid_side(cells: int, tile: int, gap: int, jitter: int) -> int:
    """Side of the square in which all tiles of `grid_corners` lie, in pixels."""
    return cells * tile + (cells - 1) * gap + 2 * jitter


def sample_grid_boxes(
    keys: Key[Array, " batch"],
    height: int,
    width: int,
    side: int,
    area: tuple[float, float] | None = None,
) -> Int[Array, "batch 4"]:
    """Samples where grids lie in images that are first brought to a random area.

    The images stay as they are: the box is as large in them as the grid is in the resized image. An
    image that would be too small for the grid is resized to where the grid just fits.

    Args:
      keys: One key per example.
      height: Height of the images in pixels.
      width: Width of the images in pixels.
      side: Side of the grid in pixels of the resized image.
      area: Range of the pixels of the resized image, from which its area is drawn uniformly; None
        for no resizing.

    Returns:
      (top, left, height, width) in pixels of the images; height and width are alike.

    Raises:
      ValueError: If the range is empty, or the grid does not fit in images that are not resized.
    """
    if area is None:
        if side > min(height, width):
            raise ValueError(
                f"a grid of {side} pixels does not fit in images of {height}x{width} pixels: make "
                "the patches, the gap or the jitter smaller."
            )
        sides = jnp.full((keys.shape[0],), side, jnp.int32)
    else:
        if not 0.0 < area[0] <= area[1]:
            raise ValueError(f"area must be 0 < low <= high, got {area}.")
        drawn = between(uniform(fold_keys(keys, 0), 1)[:, 0], area)
        shrink = jnp.sqrt(height * width / drawn)
        sides = jnp.floor(side * shrink).astype(jnp.int32)
        sides = jnp.clip(sides, 1, min(height, width))
    room = jnp.stack([height - sides, width - sides], axis=1)
    place = jax.vmap(lambda key, most: jax.random.randint(key, (2,), 0, most + 1))
    corners = place(fold_keys(keys, 1), room)
    return jnp.concatenate([corners, sides[:, None], sides[:, None]], axis=1)


def cut_tiles(
    images: Float[Array, "batch height width channels"],
    corners: Int[Array, "batch tiles 2"],
    size: int,
    shifts: Int[Array, "batch tiles channels 2"] | None = None,
) -> Float[Array, "batch tiles {size} {size} channels"]:
    """Cuts square tiles out of each image.

    Args:
      images: Images of any range.
      corners: (top, left) of each tile, in pixels; all tiles lie inside the image.
      size: Side of the tiles in pixels.
      shifts: How far each channel of each tile is taken from below and from the right, in pixels;
        None for no shifts.

    Returns:
      The tiles.

    Raises:
      ValueError: If the tiles are larger than the images.
    """
    height, width, channels = images.shape[1:]
    if not 1 <= size <= min(height, width):
        raise ValueError(f"tiles of {size} pixels do not fit in images of {height}x{width}.")

    def cut(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (size, size, image.shape[2]))

    def cut_channels(image: Array, corner: Array, shift: Array) -> Array:
        planes = [cut(image[:, :, i : i + 1], corner + shift[i]) for i in range(channels)]
        return jnp.concatenate(planes, axis=-1)

    if shifts is None:
        return jax.vmap(jax.vmap(cut, in_axes=(None, 0)))(images, corners)
    return jax.vmap(jax.vmap(cut_channels, in_axes=(None, 0, 0)))(images, corners, shifts)


def lay_out(
    tiles: Float[Array, "batch tiles size size channels"], cells: int, gap: int, fill: float = 1.0
) -> Float[Array, "batch side side channels"]:
    """Puts the tiles of a grid together to a picture, with a border as wide as the gaps.

    Args:
      tiles: The cells^2 tiles of each image.
      cells: Tiles a side.
      gap: Pixels between neighbours.
      fill: Value of the gaps and the border.

    Returns:
      Pictures.
    """
    batch, _, size, _, channels = tiles.shape
    step = size + gap
    before = ((0, 0), (0, 0), (gap, 0), (gap, 0), (0, 0))
    padded = jnp.pad(tiles, before, constant_values=fill)
    grid = padded.reshape(batch, cells, cells, step, step, channels)
    whole = jnp.swapaxes(grid, 2, 3).reshape(batch, cells * step, cells * step, channels)
    return jnp.pad(whole, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=fill)


def _lattice(cells: int, step: int) -> Int[Array, "tiles 2"]:
    rows, columns = np.divmod(np.arange(cells**2), cells)
    return jnp.asarray(np.stack([rows, columns], axis=1) * step, jnp.int32)
