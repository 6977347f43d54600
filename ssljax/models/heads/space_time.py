"""A head that embeds every place of the frames of a clip, each beside its neighbours in time."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.padded import KAIMING_FAN_OUT


class SpaceTimeHead(nn.Module):
    """3-D convolutions over the maps of a clip, then a linear embedding of each place.

    The places' coordinates, from -1 to 1, are two more channels of the maps. Each convolution is of
    3x3x3 and padded by zeros in space and time; batch norm and a ReLU follow it.

    Attributes:
      dim: Values of an embedding.
      layers: How many convolutions; 0 for the linear embedding alone, which knows no time.
      width: Channels of each.
      dtype: Type of the arithmetic of all layers but the last, which is in float32.

    Reference:
      Vondrick et al., Tracking Emerges by Colorizing Videos (arXiv:1806.09594), 2018, section 3.4:
      five layers. The kernels and the width are from memory.
    """

    dim: int = 64
    layers: int = 5
    width: int = 256
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, maps: Float[Array, "batch frames height width channels"], train: bool
    ) -> Float[Array, "batch frames height width {self.dim}"]:
        """Embeds the places.

        Args:
          maps: Of an encoder, frame by frame.
          train: Whether norms use and update batch statistics.

        Returns:
          The embeddings, float32, of any length.
        """
        shape = maps.shape[:-1]
        x = maps.astype(self.dtype)
        if self.layers:
            lines = (np.linspace(-1.0, 1.0, side) for side in shape[2:])
            places = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)
            where = jnp.broadcast_to(jnp.asarray(places, self.dtype)[None, None], (*shape, 2))
            x = jnp.concatenate([x, where], axis=-1)
        for number in range(1, self.layers + 1):
            layer = nn.Conv(
                self.width,
                (3, 3, 3),
                padding=1,
                use_bias=False,
                kernel_init=KAIMING_FAN_OUT,
                dtype=self.dtype,
                name=f"conv{number}",
            )
            x = nn.relu(BatchNorm(dtype=self.dtype, name=f"norm{number}")(layer(x), train))
        return nn.Dense(self.dim, name="embedding")(x.astype(jnp.float32))
