"""ProGAN: a generator and a discriminator that have the layers of all sizes and use a part."""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.gan.parts import scaled
from ssljax.models.layers.equalized import GAIN, EqualizedConv, EqualizedDense, add_bias
from ssljax.models.layers.minibatch_deviation import minibatch_deviation
from ssljax.models.layers.pixel_norm import pixel_norm
from ssljax.ops.resampling import box_down, nearest_up

FIRST = 4
"""Side of the first images in pixels."""

FADE = "fade"
"""The collection that holds, as "weight", the share of the newest layers; none: they have all."""


class ProGANGenerator(nn.Module):
    """Makes images of 4 pixels, or of 8, 16, ..., up to `image_size`.

    A linear layer maps the latent vector, which is normalised, to a map of 4x4. For each size there
    are two convolutions of 3x3, the first of which doubles the side (for 4x4 the linear layer takes
    its place), and a 1x1 convolution to colours. A hidden layer is followed by a LeakyReLU of slope
    0.2 and pixel norm, the colours by nothing. All layers have an equalised learning rate.

    Layers of all sizes are made at once, whatever the `size` in use. While a size fades in, the
    images are a mixture, by the collection "fade": its "weight" is the share of the layers of that
    size, and the rest are the images of half the size, enlarged.

    Attributes:
      image_size: Side of the largest images in pixels: 4 times a power of 2.
      image_channels: Channels of the images.
      size: Side of the images that are made; None for the largest.
      fmap_base: The maps of side s have `2 * fmap_base / s` channels.
      fmap_max: Their greatest number.
      width: Factor on the channels of every hidden layer.
      dtype: Type of activations and arithmetic. Parameters and images are always float32.

    Reference:
      Karras et al., Progressive Growing of GANs (arXiv:1710.10196), 2018, table 2, and the authors'
      code.
    """

    image_size: int = 32
    image_channels: int = 3
    size: int | None = None
    fmap_base: int = 8192
    fmap_max: int = 512
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
          latents: Random vectors, of any dimension.
          train: Has no effect.
          labels: Has no effect.

        Returns:
          Images of `size` pixels, float32; real ones lie in [-1, 1], and nothing holds these there.

        Raises:
          ValueError: If the largest size cannot be reached.
        """
        size = self.size or self.image_size
        made = growing_sizes(self.image_size if self.is_initializing() else size)
        is_fading = size > FIRST and self.has_variable(FADE, "weight")
        colored = made if self.is_initializing() else (size // 2, size) if is_fading else (size,)
        channels = _table(self.fmap_base, self.fmap_max, self.width)
        conv = functools.partial(EqualizedConv, dtype=self.dtype)
        x = pixel_norm(latents)
        images = {}
        for now in made:
            features = channels(now)
            if now == FIRST:
                dense = EqualizedDense(
                    FIRST**2 * features, GAIN / 4, use_bias=False, dtype=self.dtype, name="dense"
                )
                x = add_bias(self, dense(x).reshape(-1, FIRST, FIRST, features))
            else:
                x = conv(features, resample="up", name=f"conv{now}_up")(x)
            x = pixel_norm(_rectified(x))
            x = pixel_norm(_rectified(conv(features, name=f"conv{now}")(x)))
            if now in colored:
                color = conv(self.image_channels, 1, gain=1.0, name=f"to_rgb{now}")
                images[now] = color(x).astype(jnp.float32)
        if not is_fading:
            return images[size]
        return mix(nearest_up(images[size // 2], 2), images[size], _weight(self))


class ProGANDiscriminator(nn.Module):
    """Judges images of 4, 8, 16, ... pixels, the mirror image of `ProGANGenerator`.

    Layers are made for the size of the images that it is initialised with, and for all smaller
    ones. A 1x1 convolution from colours begins; for each size there are two convolutions of 3x3,
    the second of which halves the side. At 4x4 they are one convolution, before which the minibatch
    standard deviation is appended, and a linear layer, whose activations are the features. All are
    followed by a LeakyReLU of slope 0.2 and have an equalised learning rate.

    As in the authors' TensorFlow code, squares are averaged before the bias and the LeakyReLU, in
    the same convolution; in the paper's table after them. While a size fades in, what the layers of
    that size give is mixed with what the colours of the image at half the size do, as in the
    generator.

    Attributes:
      fmap_base: The maps of side s have `2 * fmap_base / s` channels.
      fmap_max: Their greatest number.
      width: Factor on the channels of every hidden layer.
      group_size: Images that the minibatch standard deviation is of, in training. In evaluation
        each image is judged alone.
      dtype: Type of activations and arithmetic. Parameters, features and logits are always float32.

    Reference:
      Karras et al., Progressive Growing of GANs (arXiv:1710.10196), 2018, table 2, and the authors'
      code.
    """

    fmap_base: int = 8192
    fmap_max: int = 512
    width: float = 1.0
    group_size: int = 4
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
          images: In [-1, 1], square, of a size that it has layers for.
          train: Whether images are judged beside the others of their group.
          labels: Has no effect.

        Returns:
          `block1`: activations at 4x4, `block2`: those that the layers of 8x8 pixels give, ...,
          (batch, height, width, channels) of type `dtype`: a layer has the same name at all sizes
          of the images. `features` (batch, dim) and `logits` (batch,), float32.

        Raises:
          ValueError: If the size of the images cannot be reached, or groups do not fill the batch.
        """
        size = images.shape[1]
        sizes = growing_sizes(size)
        is_fading = size > FIRST and self.has_variable(FADE, "weight")
        colored = sizes if self.is_initializing() else (size, size // 2) if is_fading else (size,)
        channels = _table(self.fmap_base, self.fmap_max, self.width)
        conv = functools.partial(EqualizedConv, dtype=self.dtype)
        x: Array | None = None
        outputs = {}
        for number, now in reversed(list(enumerate(sizes, start=1))):
            if now in colored:
                color = conv(channels(now), 1, name=f"from_rgb{now}")
                y = _rectified(color(box_down(images, size // now)))
                x = y if x is None else mix(y, x, _weight(self))
            assert x is not None  # The first size is among those with colours.
            if now > FIRST:
                x = _rectified(conv(channels(now), name=f"conv{now}")(x))
                down = conv(channels(now // 2), resample="down", name=f"conv{now}_down")
                x = _rectified(down(x))
            else:
                x = minibatch_deviation(x, self.group_size if train else 1)
                x = _rectified(conv(channels(now), name=f"conv{now}")(x))
            outputs[f"block{number}"] = x
        assert x is not None
        dense = EqualizedDense(channels(FIRST // 2), dtype=self.dtype, name="dense")
        features = _rectified(dense(x.reshape(x.shape[0], -1))).astype(jnp.float32)
        logits = EqualizedDense(1, gain=1.0, name="logit")(features)[:, 0]
        return outputs | {"features": features, "logits": logits}


def growing_sizes(image_size: int) -> tuple[int, ...]:
    """The sides of images, from 4 pixels on, each twice the one before.

    Args:
      image_size: The last of them, in pixels.

    Raises:
      ValueError: If it is not 4 times a power of 2.
    """
    doublings = max(0, round(math.log2(max(image_size, 1) / FIRST)))
    if FIRST * 2**doublings != image_size:
        raise ValueError(
            f"Images that grow from 4 pixels have 4, 8, 16, ... pixels a side and never "
            f"{image_size}: set config.data.image_size={FIRST * 2**doublings}."
        )
    return tuple(FIRST * 2**number for number in range(doublings + 1))


def mix(
    old: Float[Array, "*shape"], new: Float[Array, "*shape"], weight: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """Goes from `old` (weight 0) to `new` (weight 1)."""
    return old + weight.astype(old.dtype) * (new - old)


def _table(base: int, most: int, width: float) -> Callable[[int], int]:
    """Channels of the maps by their side; those of side 2 are the features'."""
    return lambda side: scaled(min(2 * base // side, most), width)


def _rectified(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return nn.leaky_relu(x, 0.2)


def _weight(network: nn.Module) -> Float[Array, ""]:
    weight: Array = network.get_variable(FADE, "weight", jnp.ones(()))
    return weight
