"""Position embeddings of a grid of patches: learned, or of fixed sines and cosines."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32


def sincos_positions(rows: int, columns: int, dim: int) -> Float32[Array, "{rows} {columns} {dim}"]:
    """Makes the fixed two-dimensional embedding of sines and cosines.

    The first half of the channels encodes the column, the second the row: each has sines and then
    cosines of the index times `10000 ** (-4 * k / dim)` for k from 0 to `dim / 4 - 1`. MAE has
    this order of the halves and MoCo v3 the other, which makes no difference to a network trained
    from scratch.

    Args:
      rows: Rows of patches.
      columns: Columns of patches.
      dim: Number of channels, a multiple of 4.

    Returns:
      The embedding of every position, in [-1, 1].

    Raises:
      ValueError: If `dim` is not a multiple of 4.

    Reference:
      Chen et al., MoCo v3 (arXiv:2104.02057), 2021, section 5; He et al., MAE (arXiv:2111.06377),
      2021, appendix A.1.
    """
    if dim % 4:
        raise ValueError(f"Sine-cosine positions need a multiple of 4 channels, not {dim}.")
    frequencies = 10000.0 ** (-np.arange(dim // 4) / (dim // 4))
    across = _waves(np.arange(columns), frequencies)
    down = _waves(np.arange(rows), frequencies)
    shape = (rows, columns, dim // 2)
    halves = np.broadcast_to(across[None, :], shape), np.broadcast_to(down[:, None], shape)
    return jnp.asarray(np.concatenate(halves, axis=-1), jnp.float32)


def _waves(index: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    angles = index[:, None] * frequencies[None, :]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def resize_positions(
    table: Float32[Array, "rows columns dim"], rows: int, columns: int
) -> Float32[Array, "{rows} {columns} dim"]:
    """Interpolates an embedding bicubically to another grid.

    The grids' outer edges coincide, and a smaller grid samples the kernel of the larger one without
    antialiasing. The kernel is Keys' with a = -0.5, as in Pillow; PyTorch, and so DINO, has -0.75.

    Args:
      table: Embedding of every position.
      rows: Rows wanted.
      columns: Columns wanted.

    Returns:
      The embedding of the other grid; `table` itself if the grid is the same.

    Reference:
      Caron et al., DINO (arXiv:2104.14294), 2021: `interpolate_pos_encoding` in
      `vision_transformer.py` of facebookresearch/dino.
    """
    if table.shape[:2] == (rows, columns):
        return table
    return jax.image.resize(table, (rows, columns, table.shape[-1]), "cubic", antialias=False)


class LearnedPositions(nn.Module):
    """A learned embedding of every position.

    The table has the grid of the images that the network was initialised with. Images of other
    sizes, such as small crops, get it interpolated.

    Attributes:
      dim: Number of channels.
    """

    dim: int

    @nn.compact
    def __call__(self, rows: int, columns: int) -> Float32[Array, "{rows} {columns} dim"]:
        """Returns the embedding of a grid of patches.

        Args:
          rows: Rows of patches.
          columns: Columns of patches.

        Returns:
          The embedding of every position.
        """
        # `self.param` alone would refuse a table of another grid than this call's.
        if self.has_variable("params", "table"):
            table: Array = self.get_variable("params", "table")
        else:
            init = nn.initializers.normal(0.02)
            table = self.param("table", init, (rows, columns, self.dim), jnp.float32)
        return resize_positions(table, rows, columns)
