"""BiGAN's generators, and its discriminators of images with their codes.

In both networks the code is an input of every layer that has a norm: its linear image is added
before that norm.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.gan.dcgan import halvings
from ssljax.models.gan.parts import scaled
from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.spectral_norm import DCGAN_INIT, Conv, ConvTranspose, Dense

BASE_CHANNELS = 64
KERNEL = 5
UNITS = 1024
DEEP = 4
"""Convolutions, of images of 64 pixels, with which the discriminator needs no more layers."""
EPSILON = 1e-8
"""What the authors' norms add to the variance."""

Pair = tuple[Float[Array, "batch height width channels"], Float[Array, "batch latent_dim"]]
"""Images in [-1, 1], and their codes."""


class CodeNorm(nn.Module):
    """Adds a linear image of the code to every place, if there is a code, and normalises.

    Attributes:
      kernel: Side of the kernel of the layer before: the code's weights start with standard
        deviation 0.02 times its area, as if they were those of a code laid out over all places.
      affine: Whether the norm has scales and biases.
      dtype: Type of the output.
    """

    kernel: int
    affine: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch *places channels"],
        train: bool,
        codes: Float[Array, "batch latent_dim"] | None,
    ) -> Float[Array, "batch *places channels"]:
        """Applies both."""
        if codes is not None:
            linear = Dense(
                x.shape[-1],
                use_bias=False,
                kernel_init=nn.initializers.normal(0.02 * self.kernel**2),
                dtype=self.dtype,
                name="code",
            )
            shift = linear(codes, train)
            x = x + shift.reshape(shift.shape[0], *[1] * (x.ndim - 2), shift.shape[1])
        norm = BatchNorm(
            epsilon=EPSILON,
            use_scale=self.affine,
            use_bias=self.affine,
            dtype=self.dtype,
            name="norm",
        )
        return norm(x, train)


class BiGANGenerator(nn.Module):
    """Makes images of ImageNet's size by transposed convolutions of stride 2.

    A linear layer maps the code to a 4x4 map, or 7x7 for images of 28 pixels, each value of which
    has a norm of its own. Each transposed convolution doubles the side and halves the channels; the
    last hidden layer has 64. No layer has a bias but in its norm.

    Attributes:
      image_size: Side of the images in pixels, as of `DCGANGenerator`; 64 in the paper.
      image_channels: Channels of the images.
      width: Factor on the channels of every hidden layer.
      dtype: Type of activations and arithmetic. Parameters, statistics and images are always
        float32.

    Reference:
      Donahue et al., Adversarial Feature Learning (arXiv:1605.09782), 2017, appendix C.2; the net
      `deconvnet_64` of the authors' code, with the sizes of `train_imagenet.sh`.
    """

    image_size: int = 64
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
        """Makes one image for each code.

        Args:
          latents: Codes, of any dimension.
          train: Whether norms use and update batch statistics.
          labels: Ignored; all generators are called alike.

        Returns:
          Images in [-1, 1], float32.

        Raises:
          ValueError: If the size of the images cannot be made.
        """
        side, stages = halvings(self.image_size)
        channels = scaled(BASE_CHANNELS * 2 ** (stages - 1), self.width)
        dense = Dense(side * side * channels, use_bias=False, dtype=self.dtype, name="dense")
        x = CodeNorm(1, True, self.dtype, name="norm0")(dense(latents, train), train, None)
        x = nn.relu(x).reshape(-1, side, side, channels)
        for stage in range(1, stages + 1):
            last = stage == stages
            hidden = scaled(BASE_CHANNELS * 2 ** max(stages - 1 - stage, 0), self.width)
            layer = ConvTranspose(
                self.image_channels if last else hidden,
                KERNEL,
                2,
                use_bias=False,
                kernel_init=_last_init(self.width) if last else DCGAN_INIT,
                dtype=self.dtype,
                name=f"deconv{stage}",
            )
            x = layer(x, train)
            if not last:
                norm = CodeNorm(KERNEL, True, self.dtype, name=f"norm{stage}")
                x = nn.relu(norm(x, train, latents))
        return _sigmoid_image(x)


class BiGANMLPGenerator(nn.Module):
    """Makes images by three linear layers without biases; its norms have neither scale nor bias.

    Attributes:
      image_size: Side of the images in pixels.
      image_channels: Channels of the images.
      width: Factor on the 1024 units of both hidden layers.
      dtype: Type of activations and arithmetic. Parameters, statistics and images are always
        float32.

    Reference:
      Donahue et al., Adversarial Feature Learning (arXiv:1605.09782), 2017, appendix C.1; the net
      `deconvnet_mnist_mlp` of the authors' code.
    """

    image_size: int = 28
    image_channels: int = 1
    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        latents: Float[Array, "batch latent_dim"],
        train: bool,
        labels: Int[Array, "batch"] | None = None,
    ) -> Float[Array, "batch height width channels"]:
        """Makes one image in [-1, 1], float32, for each code; labels are ignored."""
        units = scaled(UNITS, self.width)
        x = Dense(units, use_bias=False, dtype=self.dtype, name="dense1")(latents, train)
        x = nn.relu(CodeNorm(1, False, self.dtype, name="norm1")(x, train, None))
        x = Dense(units, use_bias=False, dtype=self.dtype, name="dense2")(x, train)
        x = nn.relu(CodeNorm(1, False, self.dtype, name="norm2")(x, train, latents))
        shape = (self.image_size, self.image_size, self.image_channels)
        pixels = self.image_size**2 * self.image_channels
        last = Dense(
            pixels,
            use_bias=False,
            kernel_init=_last_init(self.width),
            dtype=self.dtype,
            name="dense3",
        )
        return _sigmoid_image(last(x, train).reshape(-1, *shape))


class BiGANDiscriminator(nn.Module):
    """Judges images with their codes by convolutions of stride 2, each with a LeakyReLU of 0.2.

    Every convolution but the first is followed by a norm, before which the code comes in. So is a
    linear layer of 1024 units after the convolutions of images of less than 64 pixels, as in the
    net `convnet_28`: they are too few for what is told of image and code together. The last layer
    is linear and starts at 0.

    Attributes:
      width: Factor on the channels and units of every hidden layer; the first has 64.
      dtype: Type of activations and arithmetic. Parameters, statistics, features and logits are
        always float32.

    Reference:
      Donahue et al., Adversarial Feature Learning (arXiv:1605.09782), 2017, appendix C.2; the net
      `convnet_64` of the authors' code, with the sizes of `train_imagenet.sh`.
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, pair: Pair, train: bool, labels: Int[Array, "batch"] | None = None
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Judges pairs.

        Args:
          pair: Images and their codes.
          train: Whether norms use and update batch statistics.
          labels: Ignored; all discriminators are called alike.

        Returns:
          `block1`, `block2` ...: activations (batch, height, width, channels) of type `dtype`;
          `features` (batch, dim) and `logits` (batch,), float32.

        Raises:
          ValueError: If the size of the images is not one of the generator's.
        """
        images, codes = pair
        x, outputs = images.astype(self.dtype), {}
        stages = halvings(images.shape[1])[1]
        for stage in range(1, stages + 1):
            channels = scaled(BASE_CHANNELS * 2 ** (stage - 1), self.width)
            conv = Conv(channels, KERNEL, 2, use_bias=False, dtype=self.dtype, name=f"conv{stage}")
            x = conv(x, train)
            if stage > 1:
                x = CodeNorm(KERNEL, True, self.dtype, name=f"norm{stage}")(x, train, codes)
            x = nn.leaky_relu(x, 0.2)
            outputs[f"block{stage}"] = x
        if stages < DEEP:
            units = scaled(UNITS, self.width)
            x = x.reshape(x.shape[0], -1)
            x = Dense(units, use_bias=False, dtype=self.dtype, name="dense")(x, train)
            x = CodeNorm(1, True, self.dtype, name="norm")(x, train, codes)
            x = nn.leaky_relu(x, 0.2)
        return outputs | _judged(x, train)


class BiGANMLPDiscriminator(nn.Module):
    """Judges images with their codes by three linear layers, the last of which starts at 0.

    Attributes:
      width: Factor on the 1024 units of both hidden layers.
      dtype: Type of activations and arithmetic. Parameters, statistics, features and logits are
        always float32.

    Reference:
      Donahue et al., Adversarial Feature Learning (arXiv:1605.09782), 2017, appendix C.1; the net
      `mnist_mlp` of the authors' code, which sees pixels in [0, 1].
    """

    width: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, pair: Pair, train: bool, labels: Int[Array, "batch"] | None = None
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Judges pairs: `features` (batch, units) and `logits` (batch,); labels are ignored."""
        images, codes = pair
        units = scaled(UNITS, self.width)
        x = (images.reshape(images.shape[0], -1) + 1.0) / 2.0
        x = Dense(units, use_bias=False, dtype=self.dtype, name="dense1")(x, train)
        x = nn.leaky_relu(x, 0.2)
        x = Dense(units, use_bias=False, dtype=self.dtype, name="dense2")(x, train)
        x = CodeNorm(1, False, self.dtype, name="norm2")(x, train, codes)
        return _judged(nn.leaky_relu(x, 0.2), train)


def _judged(x: Float[Array, "batch *places channels"], train: bool) -> dict[str, Array]:
    """The last activations and their logit, inside a compact method."""
    features = x.reshape(x.shape[0], -1).astype(jnp.float32)
    zeros = nn.initializers.zeros
    logit = Dense(1, use_bias=False, kernel_init=zeros, name="logit")(features, train)
    return {"features": features, "logits": logit[:, 0]}


def _last_init(width: float) -> nn.initializers.Initializer:
    """The authors' deviation of 0.02, and more where fewer channels add up to a pixel."""
    return nn.initializers.normal(0.02 / math.sqrt(width))


def _sigmoid_image(x: Float[Array, "batch height width channels"]) -> Array:
    """The authors' sigmoid, brought from [0, 1] to [-1, 1]."""
    return jnp.tanh(x.astype(jnp.float32) / 2.0)
