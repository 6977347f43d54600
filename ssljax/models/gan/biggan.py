"""BigGAN's generator without classes, and BigBiGAN's discriminator of images with their codes.

What is said of BigGAN is from the paper and the authors' PyTorch port, as remembered. Kernels of
residual blocks start as SNGAN's do, not orthogonal; spectral norm makes their scale alike.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.gan.parts import DiscriminatorNorm, scaled
from ssljax.models.gan.sngan import LINEAR_INIT, DiscriminatorBlock, GeneratorBlock
from ssljax.models.layers.conditional_norm import LatentBatchNorm
from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.residual_mlp import ResidualMLP
from ssljax.models.layers.spectral_norm import Conv, Dense

CHANNELS = 96
"""Of which the layers have multiples."""
ATTENTION_SIDE = 64
"""Side of the maps on which both networks have attention."""

GENERATORS: dict[int, tuple[int, tuple[int, ...]]] = {
    8: (4, (4, 4)),
    16: (4, (4, 4, 4)),
    28: (7, (4, 4, 4)),
    32: (4, (4, 4, 4, 4)),
    64: (4, (16, 16, 8, 4, 2)),
    128: (4, (16, 16, 8, 4, 2, 1)),
}
"""By side of the images: the side to start from, and multiples of the channels from there on."""
_SMALL = ((4, True), (4, True), (4, False), (4, False))
DISCRIMINATORS: dict[int, tuple[tuple[int, bool], ...]] = {
    **dict.fromkeys((8, 16, 28, 32), _SMALL),
    64: ((1, True), (2, True), (4, True), (8, True), (16, False)),
    128: ((1, True), (2, True), (4, True), (8, True), (16, True), (16, False)),
}
"""By side of the images: multiples of the blocks' channels, and whether they halve the side."""


class SelfAttention(nn.Module):
    """Adds to each place what it attends to at all others, times a factor that starts at 0.

    Attributes:
      dtype: Type of the arithmetic; the attention's weights are float32.

    Reference:
      Zhang et al., Self-Attention Generative Adversarial Networks (arXiv:1805.08318), 2018; keys
      and values are pooled as in BigGAN.
    """

    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch height width channels"]:
        """Applies the attention, with spectral norm in all its layers."""
        batch, height, width, channels = x.shape
        conv = functools.partial(
            Conv,
            size=1,
            use_bias=False,
            spectral_norm=True,
            kernel_init=LINEAR_INIT,
            dtype=self.dtype,
        )
        few, half = max(1, channels // 8), max(1, channels // 2)
        query = conv(few, name="query")(x, train).reshape(batch, height * width, few)
        key, value = (
            nn.max_pool(conv(count, name=name)(x, train), (2, 2), strides=(2, 2)).reshape(
                batch, height * width // 4, count
            )
            for count, name in ((few, "key"), (half, "value"))
        )
        scores = jnp.einsum("bqc,bkc->bqk", query, key).astype(jnp.float32)
        weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
        seen = jnp.einsum("bqk,bkc->bqc", weights, value).reshape(batch, height, width, half)
        factor = self.param("factor", nn.initializers.zeros, (), jnp.float32)
        return x + factor.astype(x.dtype) * conv(channels, name="output")(seen, train)


class BigGANGenerator(nn.Module):
    """Makes images by residual blocks that double the side, with spectral norm in every layer.

    The latent vector is hierarchical: its first part is mapped to the first map, and each block's
    batch norms are conditioned on a part of their own, see `LatentBatchNorm`. The parts are of one
    size, or the first ones longer by 1. The paper's classes are left out.

    Attributes:
      image_size: Side of the images in pixels: 128 or 64, or 32, 28, 16 or 8.
      image_channels: Channels of the images.
      width: Factor on the channels of every hidden layer, multiples of 96.
      dtype: Type of activations and arithmetic. Parameters, statistics and images are always
        float32.

    Reference:
      Brock et al., BigGAN (arXiv:1809.11096), 2018, appendix B. Donahue and Simonyan, BigBiGAN
      (arXiv:1907.02544), 2019.
    """

    image_size: int = 128
    image_channels: int = 3
    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        latents: Float[Array, "batch latent_dim"],
        train: bool,
        labels: Int[Array, "batch"] | None = None,
    ) -> Float[Array, "batch height width channels"]:
        """Makes one image for each latent vector.

        Args:
          latents: Random vectors, of at least as many values as there are blocks and one.
          train: Whether norms use and update batch statistics.
          labels: Ignored; all generators are called alike.

        Returns:
          Images in [-1, 1], float32.

        Raises:
          ValueError: If the size of the images has no table, or the latent vectors are too short.
        """
        side, multiples = _table(GENERATORS, self.image_size)
        first, *rest = (scaled(CHANNELS * multiple, self.width) for multiple in multiples)
        if latents.shape[1] < len(multiples):
            raise ValueError(
                f"The generator of {self.image_size} pixels splits its latent vector into "
                f"{len(multiples)} parts, and there are {latents.shape[1]} values: raise "
                "latent_dim."
            )
        sizes = [len(part) for part in np.array_split(range(latents.shape[1]), len(multiples))]
        part, *parts = jnp.split(latents, np.cumsum(sizes)[:-1], axis=1)
        dense = Dense(
            side * side * first,
            spectral_norm=True,
            kernel_init=LINEAR_INIT,
            dtype=self.dtype,
            name="dense",
        )
        x = dense(part, train).reshape(-1, side, side, first)
        norm = functools.partial(LatentBatchNorm, dtype=self.dtype)
        for number, (features, part) in enumerate(zip(rest, parts, strict=True), start=1):
            block = GeneratorBlock(features, norm, True, self.dtype, name=f"block{number}")
            x = block(x, train, part, None)
            if x.shape[1] == ATTENTION_SIDE != self.image_size:
                x = SelfAttention(self.dtype, name="attention")(x, train)
        x = nn.relu(BatchNorm(dtype=self.dtype, name="norm")(x, train))
        last = Conv(
            self.image_channels,
            3,
            spectral_norm=True,
            kernel_init=LINEAR_INIT,
            dtype=self.dtype,
            name="conv",
        )
        return jnp.tanh(last(x, train).astype(jnp.float32))


class BigBiGANDiscriminator(nn.Module):
    """Scores images, codes, and both together: BigGAN's discriminator F, and perceptrons H and J.

    Each of the three ends in a linear layer that gives its score; J reads the outputs of the other
    two. Every layer has spectral norm.

    Attributes:
      width: Factor on the channels of F, multiples of 96.
      units: Of every layer of H and J; scaled by the width as well.
      blocks: Of H and of J, of two layers each.
      dtype: Type of F's activations and arithmetic. All else is float32.

    Reference:
      Donahue and Simonyan, BigBiGAN (arXiv:1907.02544), 2019, section 2 and figure 1. That H and J
      have eight layers of 2048 units is from memory.
    """

    width: float = 1.0
    units: int = 2048
    blocks: int = 4
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        pair: tuple[Float[Array, "batch height width channels"], Float[Array, "batch latent_dim"]],
        train: bool,
        labels: Int[Array, "batch"] | None = None,
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Scores pairs.

        Args:
          pair: Images in [-1, 1], square, and their codes.
          train: Whether the vectors of the spectral norms are updated.
          labels: Ignored; all discriminators are called alike.

        Returns:
          `block1`, `block2` ...: activations of F (batch, height, width, channels) of type `dtype`;
          `features` (batch, dim), F's output; `scores` (batch, 3), of the image, of the code, and
          of both; float32.

        Raises:
          ValueError: If the size of the images has no table.
        """
        images, codes = pair
        norm = functools.partial(DiscriminatorNorm, "none", self.dtype)
        x, outputs = images.astype(self.dtype), {}
        table = _table(DISCRIMINATORS, images.shape[1])
        for number, (multiple, down) in enumerate(table, start=1):
            channels, name = scaled(CHANNELS * multiple, self.width), f"block{number}"
            block = DiscriminatorBlock(
                channels, down, number == 1, norm, True, self.dtype, wide=True, name=name
            )
            x = block(x, train)
            if x.shape[1] == ATTENTION_SIDE:
                x = SelfAttention(self.dtype, name="attention")(x, train)
            outputs[name] = x
        features = jnp.sum(nn.relu(x.astype(jnp.float32)), axis=(1, 2))
        units = scaled(self.units, self.width)
        code = ResidualMLP(units, self.blocks, True, name="code")(codes, train)
        both = jnp.concatenate([features, code], axis=1)
        both = ResidualMLP(units, self.blocks, True, name="both")(both, train)
        scores = [
            Dense(1, spectral_norm=True, kernel_init=LINEAR_INIT, name=f"{name}_score")(y, train)
            for name, y in (("image", features), ("code", code), ("both", both))
        ]
        return outputs | {"features": features, "scores": jnp.concatenate(scores, axis=1)}


def _table(tables: dict[int, tuple], size: int) -> tuple:
    if size not in tables:
        nearest = min(tables, key=lambda side: abs(side - size))
        raise ValueError(
            f"There is no BigGAN for images of {size}x{size} pixels; the nearest is for "
            f"{nearest}x{nearest}, and all are for sides of {', '.join(map(str, tables))}."
        )
    return tables[size]
