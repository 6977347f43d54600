"""What a head makes of each tile or patch of an image, before it looks at several together."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm

LAYERS = ("linear", "relu", "bn_relu")
"""Kinds of fully connected layers: alone, with a ReLU, or with a norm and a ReLU."""


class FullyConnected(nn.Module):
    """A fully connected layer, and what follows it.

    Attributes:
      width: Units.
      kind: One of `LAYERS`. A layer that a norm follows has no bias, which the norm would cancel.
      affine: Whether the norm has scales and biases.
      dtype: Type of the arithmetic.
    """

    width: int
    kind: str
    affine: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch dim"], train: bool) -> Float[Array, "*batch width"]:
        """Applies the layer.

        Args:
          x: Vectors.
          train: Whether the norm uses and updates batch statistics.

        Returns:
          Vectors.

        Raises:
          ValueError: If there is no such kind.
        """
        if self.kind not in LAYERS:
            raise ValueError(f"A fully connected layer is one of {LAYERS}, not {self.kind!r}.")
        # Uniform with a variance of 1 / inputs: what Caffe calls Xavier.
        x = nn.Dense(
            self.width,
            use_bias=self.kind != "bn_relu",
            kernel_init=nn.initializers.lecun_uniform(),
            dtype=self.dtype,
            name="linear",
        )(x)
        if self.kind == "bn_relu":
            x = BatchNorm(
                use_scale=self.affine, use_bias=self.affine, dtype=self.dtype, name="norm"
            )(x, train)
        return x if self.kind == "linear" else nn.relu(x)


class TileEmbedding(nn.Module):
    """Embeds each tile: a fully connected layer on a feature map, or on averaged features.

    Attributes:
      width: Units of the layer.
      kind: As in `FullyConnected`.
      affine: Likewise.
      pool: Whether a feature map first goes through a max-pool of 3x3 with stride 2, as that of
        AlexNet's last convolution.
      dtype: Type of the arithmetic.
    """

    width: int
    kind: str
    affine: bool = True
    pool: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch tiles *map channels"], train: bool
    ) -> Float[Array, "batch tiles width"]:
        """Embeds the tiles.

        Args:
          x: One of the encoder's outputs for each tile.
          train: Whether the norm uses and updates batch statistics.

        Returns:
          An embedding of each tile.

        Raises:
          ValueError: If there is no map to pool, or it is too small.
        """
        batch, tiles, *shape = x.shape
        if self.pool:
            if len(shape) != 3 or min(shape[:2]) < 3:
                raise ValueError(
                    f"There is no map of at least 3x3 to pool, but {shape}: take another layer or "
                    "no pool."
                )
            x = nn.max_pool(x.reshape(batch * tiles, *shape), (3, 3), strides=(2, 2))
        x = x.reshape(batch, tiles, -1)
        return FullyConnected(self.width, self.kind, self.affine, self.dtype, name="fc6")(x, train)
