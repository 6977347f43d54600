"""DCGAN: a generator of transposed convolutions, a discriminator of strided ones."""

import functools
import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.gan.parts import DiscriminatorHeads, DiscriminatorNorm, GeneratorNorm, scaled
from ssljax.models.layers.spectral_norm import Conv, ConvTranspose, Dense

BASE_CHANNELS = 128
KERNEL = 5


class DCGANGenerator(nn.Module):
    """Makes images by transposed convolutions of stride 2.

    A linear layer maps the latent vector to a 4x4 map, or 7x7 for images of 28 pixels. Each
    transposed convolution doubles the side and halves the channels; the last hidden layer has 128.
    Every layer but the last is followed by a norm and a ReLU, the last by a tanh. All kernels start
    from a normal distribution of standard deviation 0.02.

    Attributes:
      image_size: Side of the images in pixels: 28, 32 or 64, or another multiple of 2 that halving
        takes to 3-7.
      image_channels: Channels of the images.
      width: Factor on the channels of every hidden layer.
      norm: `"batch"`, `"conditional"` or `"self_modulated"`, see `GeneratorNorm`.
      num_classes: Number of classes, for the conditional norm.
      spectral_norm: Whether every layer has spectral norm.
      dtype: Type of activations and arithmetic. Parameters, statistics and images are always
        float32.

    Reference:
      Radford et al., DCGAN (arXiv:1511.06434), 2015, figure 1 and section 3.
    """

    image_size: int = 32
    image_channels: int = 3
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
          ValueError: If the size of the images cannot be made, or an option is unknown.
        """
        side, stages = halvings(self.image_size)
        sn, dtype = self.spectral_norm, self.dtype
        norm = functools.partial(GeneratorNorm, self.norm, self.num_classes, sn, dtype)
        channels = scaled(BASE_CHANNELS * 2 ** (stages - 1), self.width)
        dense = Dense(
            side * side * channels, use_bias=False, spectral_norm=sn, dtype=dtype, name="dense"
        )
        x = dense(latents, train).reshape(-1, side, side, channels)
        x = nn.relu(norm(name="norm0")(x, train, latents, labels))
        for stage in range(1, stages + 1):
            last = stage == stages
            layer = ConvTranspose(
                self.image_channels
                if last
                else scaled(BASE_CHANNELS * 2 ** (stages - 1 - stage), self.width),
                KERNEL,
                2,
                use_bias=last,
                spectral_norm=sn,
                dtype=dtype,
                name=f"deconv{stage}",
            )
            x = layer(x, train)
            if not last:
                x = nn.relu(norm(name=f"norm{stage}")(x, train, latents, labels))
        return jnp.tanh(x.astype(jnp.float32))


class DCGANDiscriminator(nn.Module):
    """Judges images by convolutions of stride 2, the mirror image of `DCGANGenerator`.

    Every convolution is followed by a LeakyReLU of slope 0.2, and every one but the first by a norm
    before it. The features are the last activations, flattened. All kernels start from a normal
    distribution of standard deviation 0.02.

    Attributes:
      width: Factor on the channels of every hidden layer; the first has 128.
      norm: `"batch"`, `"layer"` or `"none"`, see `DiscriminatorNorm`; a gradient penalty
        treats each image alone, which rules out batch norm.
      spectral_norm: Whether every layer has spectral norm.
      num_rotations: See `DiscriminatorHeads`, as for the options that follow.
      num_classes: Number of classes of the labels.
      conditional: None or `"projection"`.
      out_dim: Classes of a semi-supervised discriminator.
      dropout: Share of the activations that is dropped in training, after every convolution; if it
        is not 0, training needs the key "dropout".
      input_dropout: The same for the input images.
      kernel: Side of the convolutions' kernels; 4 in the authors' code.
      dtype: Type of activations and arithmetic. Parameters, statistics, features and logits are
        always float32.

    Reference:
      Radford et al., DCGAN (arXiv:1511.06434), 2015, section 3.
    """

    width: float = 1.0
    norm: str = "batch"
    spectral_norm: bool = False
    num_rotations: int | None = None
    num_classes: int | None = None
    conditional: str | None = None
    out_dim: int | None = None
    dropout: float = 0.0
    input_dropout: float = 0.0
    kernel: int = KERNEL
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
          images: In [-1, 1], square.
          train: Whether norms use and update batch statistics.
          labels: Classes of the images; read by a projection discriminator alone.

        Returns:
          `block1`, `block2` ...: activations (batch, height, width, channels) of type
          `dtype`; `features` (batch, dim), `logits` (batch,) and the other heads' outputs,
          float32.

        Raises:
          ValueError: If the size of the images is not one of the generator's, an option is unknown
            or options contradict each other.
        """
        x, blocks = convolutions(
            nn.Dropout(self.input_dropout)(images, deterministic=not train),
            train,
            channels=[
                scaled(BASE_CHANNELS * 2**stage, self.width)
                for stage in range(halvings(images.shape[1])[1])
            ],
            size=self.kernel,
            norm=self.norm,
            spectral_norm=self.spectral_norm,
            dropout=self.dropout,
            dtype=self.dtype,
        )
        heads = DiscriminatorHeads(
            self.num_rotations,
            self.num_classes,
            self.conditional,
            self.out_dim,
            self.spectral_norm,
            name="heads",
        )
        return blocks | heads(x.reshape(x.shape[0], -1).astype(jnp.float32), train, labels)


def convolutions(
    x: Float[Array, "batch height width channels"],
    train: bool,
    *,
    channels: list[int],
    size: int,
    norm: str,
    spectral_norm: bool,
    dropout: float = 0.0,
    dtype: DTypeLike,
) -> tuple[Float[Array, "batch h w c"], dict[str, Float[Array, "batch _ _ _"]]]:
    """Applies convolutions of stride 2, norms and LeakyReLUs, inside a compact method.

    Args:
      x: Images.
      train: Whether norms use and update batch statistics.
      channels: Output channels, one for each convolution.
      size: Side of the kernels.
      norm: Kind of the norm that follows all but the first.
      spectral_norm: Whether the convolutions have spectral norm.
      dropout: Share of the activations that is dropped in training, after each of them.
      dtype: Type of activations and arithmetic.

    Returns:
      The last activations, and all of them by name, `block1` first.
    """
    x = x.astype(dtype)
    blocks = {}
    for stage, features in enumerate(channels, start=1):
        normed = stage > 1
        conv = Conv(
            features,
            size,
            2,
            use_bias=not normed or norm == "none",
            spectral_norm=spectral_norm,
            dtype=dtype,
            name=f"conv{stage}",
        )
        x = conv(x, train)
        if normed:
            x = DiscriminatorNorm(norm, dtype, name=f"norm{stage}")(x, train)
        x = nn.Dropout(dropout)(nn.leaky_relu(x, 0.2), deterministic=not train)
        blocks[f"block{stage}"] = x
    return x, blocks


def halvings(image_size: int) -> tuple[int, int]:
    """Halves the side of an image until it is odd or 4.

    Args:
      image_size: Side in pixels.

    Returns:
      The least side (28 -> 7, 32 and 64 -> 4) and the number of halvings.

    Raises:
      ValueError: If the least side is not between 3 and 7, or the image is too small to be halved.
    """
    stages = 0
    side = image_size
    while side > 4 and side % 2 == 0:
        side, stages = side // 2, stages + 1
    if not stages or not 3 <= side <= 7:
        fitting = sorted(base * 2**power for base in (3, 4, 5, 7) for power in range(1, 6))
        nearest = min(fitting, key=lambda size: abs(math.log(max(image_size, 1) / size)))
        raise ValueError(
            f"Images of {image_size}x{image_size} pixels do not halve to 3-7 pixels; "
            f"the nearest that do have {nearest}x{nearest}."
        )
    return side, stages
