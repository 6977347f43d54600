"""The residual generator and discriminator of SNGAN and WGAN-GP."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.gan.parts import DiscriminatorHeads, DiscriminatorNorm, GeneratorNorm, scaled
from ssljax.models.layers.spectral_norm import Conv, Dense
from ssljax.ops.resampling import box_down, nearest_up

RESIDUAL_INIT = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")
"""Glorot's uniform initialisation, its variance doubled: the 3x3 convolutions of a branch."""
LINEAR_INIT = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
"""Glorot's uniform initialisation: shortcuts, and layers that no ReLU follows."""

SMALL_SIDES = {8: 4, 16: 4, 28: 7, 32: 4}
"""Sides of small images, and those that their generator starts from."""
LARGE_GENERATORS: dict[int, tuple[int, tuple[int, ...]]] = {
    48: (6, (512, 256, 128, 64)),
    64: (4, (1024, 512, 256, 128, 64)),
    128: (4, (1024, 1024, 512, 256, 128, 64)),
}
"""By side of the images: the side and channels to start from, then the channels of the blocks."""
LARGE_DISCRIMINATORS: dict[int, tuple[tuple[int, bool], ...]] = {
    48: ((64, True), (128, True), (256, True), (512, True), (1024, False)),
    64: ((64, True), (128, True), (256, True), (512, True), (1024, True)),
    128: ((64, True), (128, True), (256, True), (512, True), (1024, True), (1024, False)),
}
"""By side of the images: channels of the blocks, and whether they halve the side."""
SMALL_DISCRIMINATOR = ((128, True), (128, True), (128, False), (128, False))


class GeneratorBlock(nn.Module):
    """Doubles the side: norm, ReLU, enlarging, convolution, norm, ReLU, convolution, + shortcut.

    Attributes:
      features: Channels of both convolutions and of the output.
      norm: Makes the norms.
      spectral_norm: Whether the convolutions have spectral norm.
      dtype: Type of the arithmetic.
    """

    features: int
    norm: Callable[..., nn.Module]
    spectral_norm: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        train: bool,
        latents: Float[Array, "batch latent_dim"],
        labels: Int[Array, "batch"] | None,
    ) -> Float[Array, "batch out_height out_width features"]:
        """Applies the block."""
        conv = functools.partial(
            Conv, self.features, spectral_norm=self.spectral_norm, dtype=self.dtype
        )
        branch = functools.partial(conv, 3, kernel_init=RESIDUAL_INIT)
        y = nn.relu(self.norm(name="norm1")(x, train, latents, labels))
        y = branch(name="conv1")(nearest_up(y, 2), train)
        y = nn.relu(self.norm(name="norm2")(y, train, latents, labels))
        y = branch(name="conv2")(y, train)
        # A 1x1 convolution gives the same before the enlarging as after it, at a quarter of the
        # cost.
        x = conv(1, kernel_init=LINEAR_INIT, name="shortcut")(x, train)
        return nearest_up(x, 2) + y


class DiscriminatorBlock(nn.Module):
    """Norm, ReLU, convolution, norm, ReLU, convolution, halving, + shortcut.

    Attributes:
      features: Channels of the output.
      down: Whether the side is halved, by averages of 2x2 positions.
      first: Whether the input is an image, which gets neither norm nor ReLU.
      norm: Makes the norms.
      spectral_norm: Whether the convolutions have spectral norm.
      dtype: Type of the arithmetic.
      wide: Whether the first convolution has the channels of the output, and not of the input.
    """

    features: int
    down: bool
    first: bool
    norm: Callable[..., nn.Module]
    spectral_norm: bool
    dtype: DTypeLike
    wide: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch out_height out_width features"]:
        """Applies the block."""
        conv = functools.partial(Conv, spectral_norm=self.spectral_norm, dtype=self.dtype)
        branch = functools.partial(conv, size=3, kernel_init=RESIDUAL_INIT)
        hidden = self.features if self.first or self.wide else x.shape[-1]
        y = x if self.first else nn.relu(self.norm(name="norm1")(x, train))
        y = branch(hidden, name="conv1")(y, train)
        y = y if self.first else self.norm(name="norm2")(y, train)
        y = branch(self.features, name="conv2")(nn.relu(y), train)
        if self.down:
            x, y = box_down(x, 2), box_down(y, 2)
        if self.down or x.shape != y.shape:
            # A 1x1 convolution commutes with the average, so it may come after it.
            x = conv(self.features, 1, kernel_init=LINEAR_INIT, name="shortcut")(x, train)
        return x + y


class ResNetGenerator(nn.Module):
    """Makes images by residual blocks that double the side.

    Attributes:
      image_size: Side of the images in pixels: 28, 32 (or 8, 16), 48, 64 or 128.
      image_channels: Channels of the images.
      small_channels: Channels of all blocks of the generator of images of up to 32 pixels: 256 in
        SNGAN, 128 in WGAN-GP.
      width: Factor on the channels of every hidden layer.
      norm: `"batch"`, `"conditional"` (batch norm after the last block) or
        `"self_modulated"`, see `GeneratorNorm`.
      num_classes: Number of classes, for the conditional norm.
      spectral_norm: Whether every layer has spectral norm.
      dtype: Type of activations and arithmetic. Parameters, statistics and images are always
        float32.

    Reference:
      Miyato et al., Spectral Normalization (arXiv:1802.05957), 2018, tables 4-6. Gulrajani et al.,
      WGAN-GP (arXiv:1704.00028), 2017, appendix.
    """

    image_size: int = 32
    image_channels: int = 3
    small_channels: int = 256
    width: float = 1.0
    norm: str = "batch"
    num_classes: int | None = None
    spectral_norm: bool = False
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
          latents: Random vectors, of any dimension.
          train: Whether norms use and update batch statistics.
          labels: Classes of the images; read by the conditional norm alone.

        Returns:
          Images in [-1, 1], float32.

        Raises:
          ValueError: If the size of the images has no table, or an option is unknown.
        """
        side, channels = self._table()
        first, *rest = (scaled(count, self.width) for count in channels)
        sn, dtype = self.spectral_norm, self.dtype
        norm = functools.partial(GeneratorNorm, self.norm, self.num_classes, sn, dtype)
        dense = Dense(
            side * side * first,
            spectral_norm=sn,
            kernel_init=LINEAR_INIT,
            dtype=dtype,
            name="dense",
        )
        x = dense(latents, train).reshape(-1, side, side, first)
        for number, features in enumerate(rest, start=1):
            block = GeneratorBlock(features, norm, sn, dtype, name=f"block{number}")
            x = block(x, train, latents, labels)
        kind = "batch" if self.norm == "conditional" else self.norm
        last_norm = GeneratorNorm(kind, None, sn, dtype, name="norm")
        x = nn.relu(last_norm(x, train, latents, labels))
        last = Conv(
            self.image_channels,
            3,
            spectral_norm=sn,
            kernel_init=LINEAR_INIT,
            dtype=dtype,
            name="conv",
        )
        return jnp.tanh(last(x, train).astype(jnp.float32))

    def _table(self) -> tuple[int, tuple[int, ...]]:
        """Side to start from, and channels from there on."""
        _check_size(self.image_size)
        if self.image_size in LARGE_GENERATORS:
            return LARGE_GENERATORS[self.image_size]
        side = SMALL_SIDES[self.image_size]
        blocks = (self.image_size // side).bit_length() - 1
        return side, (self.small_channels,) * (blocks + 1)


class ResNetDiscriminator(nn.Module):
    """Judges images by residual blocks.

    The features are the last block's activations, after a ReLU and pooled over all positions.

    Attributes:
      pool: `"sum"` over positions (SNGAN) or their `"mean"` (WGAN-GP).
      width: Factor on the channels of every hidden layer.
      norm: `"batch"`, `"layer"` or `"none"`, see `DiscriminatorNorm`; a gradient penalty
        treats each image alone, which rules out batch norm.
      spectral_norm: Whether every layer has spectral norm.
      num_rotations: See `DiscriminatorHeads`, as for the options that follow.
      num_classes: Number of classes of the labels.
      conditional: None or `"projection"`.
      out_dim: Classes of a semi-supervised discriminator.
      dtype: Type of activations and arithmetic. Parameters, statistics, features and logits are
        always float32.

    Reference:
      Miyato et al., Spectral Normalization (arXiv:1802.05957), 2018, tables 4-6. Gulrajani et al.,
      WGAN-GP (arXiv:1704.00028), 2017, appendix.
    """

    pool: str = "sum"
    width: float = 1.0
    norm: str = "none"
    spectral_norm: bool = False
    num_rotations: int | None = None
    num_classes: int | None = None
    conditional: str | None = None
    out_dim: int | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        train: bool,
        labels: Int[Array, "batch"] | None = None,
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Judges images.

        Args:
          images: In [-1, 1], square, of a side that the generator has.
          train: Whether norms use and update batch statistics.
          labels: Classes of the images; read by a projection discriminator alone.

        Returns:
          `block1`, `block2` ...: activations (batch, height, width, channels) of type
          `dtype`; `features` (batch, dim), `logits` (batch,) and the other heads' outputs,
          float32.

        Raises:
          ValueError: If the size of the images has no table, an option is unknown or options
            contradict each other.
        """
        if self.pool not in ("sum", "mean"):
            raise ValueError(f"The pool is {self.pool!r}; it must be 'sum' or 'mean'.")
        size, sn = images.shape[1], self.spectral_norm
        _check_size(size)
        norm = functools.partial(DiscriminatorNorm, self.norm, self.dtype)
        x = images.astype(self.dtype)
        outputs = {}
        table = LARGE_DISCRIMINATORS.get(size, SMALL_DISCRIMINATOR)
        for number, (channels, down) in enumerate(table, start=1):
            features = scaled(channels, self.width)
            name = f"block{number}"
            block = DiscriminatorBlock(features, down, number == 1, norm, sn, self.dtype, name=name)
            x = block(x, train)
            outputs[name] = x
        pool = jnp.sum if self.pool == "sum" else jnp.mean
        pooled = pool(nn.relu(x.astype(jnp.float32)), axis=(1, 2))
        heads = DiscriminatorHeads(
            self.num_rotations,
            self.num_classes,
            self.conditional,
            self.out_dim,
            sn,
            LINEAR_INIT,
            name="heads",
        )
        return outputs | heads(pooled, train, labels)


def _check_size(size: int) -> None:
    known = (*SMALL_SIDES, *LARGE_GENERATORS)
    if size not in known:
        nearest = min(known, key=lambda side: abs(side - size))
        raise ValueError(
            f"There is no residual GAN for images of {size}x{size} pixels; the nearest is for "
            f"{nearest}x{nearest}, and all are for sides of {', '.join(map(str, known))}."
        )
