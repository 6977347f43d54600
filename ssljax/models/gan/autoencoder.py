"""EBGAN's networks: autoencoders that score an image by how well they reproduce it."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.gan.dcgan import convolutions, halvings
from ssljax.models.gan.parts import DiscriminatorNorm, scaled
from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.spectral_norm import ConvTranspose, Dense

BASE_CHANNELS = 64
MOST_STAGES = 3
KERNEL = 4
MLP_INIT = nn.initializers.normal(0.002)
"""Zhao et al. (2016), appendix C: zero-centred normal, standard deviation 0.002."""


class AutoencoderDiscriminator(nn.Module):
    """A convolutional autoencoder.

    Three convolutions of stride 2 (two for images of 28 pixels), with 64, 128 and 256 channels,
    compute the code; as many transposed ones, in reverse order, compute the reconstruction. All
    layers but the first and the last are followed by a norm, all but the last by a LeakyReLU of
    slope 0.2, and the last by a tanh.

    Attributes:
      width: Factor on the channels of every hidden layer.
      norm: `"batch"`, `"layer"` or `"none"`, see `DiscriminatorNorm`.
      spectral_norm: Whether every layer has spectral norm.
      dtype: Type of activations and arithmetic. Parameters, statistics, code and reconstruction are
        always float32.

    Reference:
      Zhao et al., Energy-based GAN (arXiv:1609.03126), 2016, appendix D.
    """

    width: float = 1.0
    norm: str = "batch"
    spectral_norm: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        train: bool,
        labels: Int[Array, "batch"] | None = None,
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Encodes images and decodes them.

        Args:
          images: In [-1, 1], square.
          train: Whether norms use and update batch statistics.
          labels: Ignored; all discriminators are called alike.

        Returns:
          `block1`, `block2` ...: the encoder's activations (batch, height, width, channels) of
          type `dtype`; `code` (batch, dim), the last of them, flattened; `features`, the
          same; `reconstruction` in [-1, 1], of the shape of the images. The last three are
          float32.

        Raises:
          ValueError: If the size of the images cannot be halved, or the norm is unknown.
        """
        sn, dtype = self.spectral_norm, self.dtype
        stages = min(MOST_STAGES, halvings(images.shape[1])[1])
        channels = [scaled(BASE_CHANNELS * 2**stage, self.width) for stage in range(stages)]
        x, blocks = convolutions(
            images,
            train,
            channels=channels,
            size=KERNEL,
            norm=self.norm,
            spectral_norm=sn,
            dtype=dtype,
        )
        code = x.reshape(x.shape[0], -1).astype(jnp.float32)
        for stage, features in enumerate((*channels[-2::-1], images.shape[-1]), start=1):
            last = stage == stages
            layer = ConvTranspose(
                features,
                KERNEL,
                2,
                use_bias=last or self.norm == "none",
                spectral_norm=sn,
                dtype=dtype,
                name=f"deconv{stage}",
            )
            x = layer(x, train)
            if not last:
                x = DiscriminatorNorm(self.norm, dtype, name=f"deconv_norm{stage}")(x, train)
                x = nn.leaky_relu(x, 0.2)
        reconstruction = jnp.tanh(x.astype(jnp.float32))
        return blocks | {"code": code, "features": code, "reconstruction": reconstruction}


class MLPAutoencoder(nn.Module):
    """An autoencoder of two linear layers, with a ReLU after the first and a tanh after the last.

    Attributes:
      hidden: Units of the code.
      spectral_norm: Whether both layers have spectral norm.
      dtype: Type of the arithmetic. Parameters, code and reconstruction are always float32.

    Reference:
      Zhao et al., Energy-based GAN (arXiv:1609.03126), 2016, appendix C: the best discriminator for
      MNIST.
    """

    hidden: int = 1024
    spectral_norm: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        train: bool,
        labels: Int[Array, "batch"] | None = None,
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Encodes images and decodes them.

        Args:
          images: In [-1, 1].
          train: Whether the vectors of the spectral norms are updated.
          labels: Ignored; all discriminators are called alike.

        Returns:
          `code` (batch, hidden); `features`, the same; `reconstruction` in [-1, 1], of the
          shape of the images. All are float32.
        """
        pixels = images.reshape(images.shape[0], -1)
        encoder, decoder = (
            Dense(
                units,
                spectral_norm=self.spectral_norm,
                kernel_init=MLP_INIT,
                dtype=self.dtype,
                name=name,
            )
            for units, name in ((self.hidden, "encoder"), (pixels.shape[-1], "decoder"))
        )
        code = nn.relu(encoder(pixels, train))
        reconstruction = jnp.tanh(decoder(code, train).astype(jnp.float32))
        code = code.astype(jnp.float32)
        return {
            "code": code,
            "features": code,
            "reconstruction": reconstruction.reshape(images.shape),
        }


class MLPGenerator(nn.Module):
    """Makes images by linear layers, with batch norm and ReLU after all but the last.

    Attributes:
      image_size: Side of the images in pixels.
      image_channels: Channels of the images.
      hidden: Units of each hidden layer.
      layers: Number of linear layers, the last included.
      dtype: Type of activations and arithmetic. Parameters, statistics and images are always
        float32.

    Reference:
      Zhao et al., Energy-based GAN (arXiv:1609.03126), 2016, appendix C: the best generator for
      MNIST.
    """

    image_size: int = 28
    image_channels: int = 1
    hidden: int = 800
    layers: int = 5
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
          labels: Ignored; all generators are called alike.

        Returns:
          Images in [-1, 1], float32.
        """
        x = latents
        for layer in range(1, self.layers):
            x = Dense(self.hidden, use_bias=False, dtype=self.dtype, name=f"dense{layer}")(x, train)
            x = nn.relu(BatchNorm(dtype=self.dtype, name=f"norm{layer}")(x, train))
        shape = (self.image_size, self.image_size, self.image_channels)
        last = Dense(math.prod(shape), dtype=self.dtype, name=f"dense{self.layers}")
        return jnp.tanh(last(x, train).astype(jnp.float32)).reshape(-1, *shape)
