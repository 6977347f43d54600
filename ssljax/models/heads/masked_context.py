"""The context network of CPC: what has been seen of a grid, row by row."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class MaskedContext(nn.Module):
    """Residual blocks of convolutions that look at their own row and upwards, never below.

    A block is 1x1 (narrow), ReLU, 1x3, 2x1 over a row and the one above it, ReLU, and 1x1 back to
    the grid's channels. With n blocks a row's context has seen the row itself and n rows above, and
    all columns within n places.

    Attributes:
      blocks: Number of blocks.
      width: Channels inside a block.
      dtype: Type of the arithmetic.

    Reference:
      Hénaff et al., Data-Efficient Image Recognition with Contrastive Predictive Coding
      (arXiv:1905.09272), 2019, appendix A.2.
    """

    blocks: int = 5
    width: int = 256
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, grid: Float[Array, "batch rows columns channels"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Gives every place of the grid its context."""
        x = grid.astype(self.dtype)
        for block in range(1, self.blocks + 1):
            y = nn.relu(self._conv(self.width, (1, 1), f"block{block}_in")(x))
            y = self._conv(self.width, (1, 3), f"block{block}_beside", ((0, 0), (1, 1)))(y)
            y = self._conv(self.width, (2, 1), f"block{block}_above", ((1, 0), (0, 0)))(y)
            x = x + self._conv(x.shape[-1], (1, 1), f"block{block}_out")(nn.relu(y))
        return nn.relu(x)

    def _conv(
        self,
        channels: int,
        kernel: tuple[int, int],
        name: str,
        padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
    ) -> nn.Conv:
        return nn.Conv(channels, kernel, padding=padding, dtype=self.dtype, name=name)
