"""Network in network, as rotation prediction has it for small images."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm, NormFactory
from ssljax.models.layers.padded import check_image_fits, conv, global_average

_POOL = ((3, 3), (2, 2), ((1, 1), (1, 1)))
"""Window, strides and padding."""


class NetworkInNetwork(nn.Module):
    """Blocks of a large convolution and two of 1x1, each with a norm and a ReLU.

    The first two blocks have kernels of 5x5 and end in a pool of stride 2, of the largest value and
    of the mean; the others have kernels of 3x3 and no pool. Kernels start as in RotNet, normal with
    the variance 2 / (kernel area * output channels).

    Attributes:
      blocks: Number of blocks, at least two.
      widths: Channels of the convolutions of the first block; all later ones have as many as the
        very first.
      norm: Makes the norms.
      dtype: Type of activations and arithmetic. Parameters, statistics and `features` are always
        float32.

    Reference:
      Lin, Chen and Yan, Network In Network (arXiv:1312.4400), 2014, in the form of Gidaris, Singh
      and Komodakis (arXiv:1803.07728), 2018.
    """

    blocks: int = 4
    widths: tuple[int, ...] = (192, 160, 96)
    norm: NormFactory = BatchNorm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of each block.

        Args:
          x: Images, already normalised; at least 4x4 pixels.
          train: Whether norms use and update batch statistics.

        Returns:
          `block1`, `block2` ...: activations (batch, height, width, channels) of type `dtype`,
          pooled in the first two; `features`: (batch, dim) in float32, the average of the last
          block over positions.

        Raises:
          ValueError: If the images are too small, or blocks or widths are missing.
        """
        if self.blocks < 2 or len(self.widths) != 3:
            raise ValueError(
                "A network in network has at least two blocks and three widths, got "
                f"blocks={self.blocks} and widths={self.widths}."
            )
        check_image_fits(x.shape, 4, "enlarge them")

        outputs = {}
        for block in range(1, self.blocks + 1):
            widths = self.widths if block == 1 else self.widths[:1] * 3
            kernels = (5 if block <= 2 else 3, 1, 1)
            for number, (width, kernel) in enumerate(zip(widths, kernels, strict=True), start=1):
                x = conv(width, kernel, 1, self.dtype, f"block{block}_conv{number}")(x)
                norm = self.norm(dtype=self.dtype, name=f"block{block}_norm{number}")
                x = nn.relu(norm(x, train))
            if block == 1:
                x = nn.max_pool(x, *_POOL)
            elif block == 2:
                # The zeros around the map count: every sum is divided by nine.
                x = nn.pool(x, 0.0, jax.lax.add, *_POOL) / 9.0
            outputs[f"block{block}"] = x
        return outputs | {"features": global_average(x)}
