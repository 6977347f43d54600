"""The Inception network of 2015, with which generators are scored.

It differs from Inception-v3 as published and from other libraries' copies: it classifies 1,008
classes, its average pools leave the padding out of the mean, and its last block pools by the
maximum. Modules are named as in the PyTorch files of its weights.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.padded import global_average

IMAGE_SIZE = 299
NUM_CLASSES = 1008

# A score must not depend on the device: TF32 and bfloat16 products would change it.
_PRECISION = jax.lax.Precision.HIGHEST
_SMALLEST_IMAGE = 75

Maps = Float[Array, "batch height width channels"]
NewMaps = Float[Array, "batch out_height out_width out_channels"]


class InceptionV3(nn.Module):
    """The feature extractor of FID, IS and KID; for inference alone.

    Reference:
      Szegedy et al., Rethinking the Inception Architecture (arXiv:1512.00567), 2015. The graph is
      that of TensorFlow's archive `inception-2015-12-05`, used by Salimans et al. (2016) and Heusel
      et al. (2017).
    """

    @nn.compact
    def __call__(self, x: Maps) -> dict[str, Float[Array, "batch ..."]]:
        """Computes features and logits.

        Args:
          x: RGB images in [-1, 1], as `preprocess` makes them; at least 75x75.

        Returns:
          `features`: the 2,048 of the last pool ("pool3"). `logits`: (batch, 1008), without
          the bias, as the Inception score takes them.

        Raises:
          ValueError: If the images are too small.
        """
        if min(x.shape[1:3]) < _SMALLEST_IMAGE:
            raise ValueError(
                f"Images of {x.shape[1]}x{x.shape[2]} pixels are too small for Inception-v3, which "
                f"needs {_SMALLEST_IMAGE}x{_SMALLEST_IMAGE}: enlarge them with preprocess."
            )
        x = _Unit(32, (3, 3), 2, "VALID", name="Conv2d_1a_3x3")(x)
        x = _Unit(32, (3, 3), 1, "VALID", name="Conv2d_2a_3x3")(x)
        x = _Unit(64, (3, 3), name="Conv2d_2b_3x3")(x)
        x = _halve(x)
        x = _Unit(80, name="Conv2d_3b_1x1")(x)
        x = _Unit(192, (3, 3), 1, "VALID", name="Conv2d_4a_3x3")(x)
        x = _halve(x)
        for letter, pool_width in zip("bcd", (32, 64, 64), strict=True):
            x = _Mixed35(pool_width, name=f"Mixed_5{letter}")(x)
        x = _Reduce35(name="Mixed_6a")(x)
        for letter, width in zip("bcde", (128, 160, 160, 192), strict=True):
            x = _Mixed17(width, name=f"Mixed_6{letter}")(x)
        x = _Reduce17(name="Mixed_7a")(x)
        x = _Mixed8(max_pool=False, name="Mixed_7b")(x)
        x = _Mixed8(max_pool=True, name="Mixed_7c")(x)
        features = global_average(x)
        classify = nn.Dense(NUM_CLASSES, use_bias=False, precision=_PRECISION, name="fc")
        return {"features": features, "logits": classify(features)}


def preprocess(
    images: Num[Array, "batch height width channels"],
) -> Float[Array, "batch 299 299 3"]:
    """Prepares images as the network expects them: 299x299 RGB in [-1, 1).

    Args:
      images: Images in 0 to 255, uint8, with 3 channels, or with 1, which is repeated.

    Returns:
      (x - 128) / 128 of the enlarged images.

    Raises:
      ValueError: If the images are not bytes, or have neither 1 nor 3 channels.
    """
    if images.dtype != jnp.uint8:
        raise ValueError(f"Inception-v3 needs images in bytes, uint8, not {images.dtype}.")
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"Inception-v3 needs images of 1 or 3 channels, not {channels}.")
    x = resize(images.astype(jnp.float32), IMAGE_SIZE)
    return (jnp.repeat(x, 3 // channels, axis=-1) - 128.0) / 128.0


def resize(
    images: Float[Array, "batch height width channels"], size: int
) -> Float[Array, "batch size size channels"]:
    """Resizes as TensorFlow 1's `resize_bilinear` did, which is part of the graph.

    Output pixel i reads the input at i * input size / output size: corners are not aligned, pixel
    centres are not halved, and shrinking averages over no more than two pixels each way.

    Args:
      images: Images of any range.
      size: Side of the square result, in pixels.

    Returns:
      The resized images.
    """
    for axis in (1, 2):
        length = images.shape[axis]
        place = np.arange(size, dtype=np.float32) * np.float32(length / size)
        low = place.astype(np.int32)
        high = np.minimum(low + 1, length - 1)
        shape = [size if a == axis else 1 for a in range(4)]
        share = jnp.asarray((place - low.astype(np.float32)).reshape(shape))
        first, second = jnp.take(images, low, axis), jnp.take(images, high, axis)
        images = first + (second - first) * share
    return images


class _Unit(nn.Module):
    """A convolution, a norm with its running statistics, and ReLU."""

    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Maps) -> NewMaps:
        x = nn.Conv(
            self.width,
            self.kernel,
            strides=(self.stride, self.stride),
            padding=self.padding,
            use_bias=False,
            precision=_PRECISION,
            name="conv",
        )(x)
        return nn.relu(BatchNorm(epsilon=1e-3, name="bn")(x, train=False))


class _Mixed35(nn.Module):
    """The block for 35x35 maps: 1x1, 5x5, twice 3x3, and a pool."""

    pool_width: int

    @nn.compact
    def __call__(self, x: Maps) -> NewMaps:
        one = _Unit(64, name="branch1x1")(x)
        five = _Unit(48, name="branch5x5_1")(x)
        five = _Unit(64, (5, 5), name="branch5x5_2")(five)
        three = _Unit(64, name="branch3x3dbl_1")(x)
        three = _Unit(96, (3, 3), name="branch3x3dbl_2")(three)
        three = _Unit(96, (3, 3), name="branch3x3dbl_3")(three)
        pool = _Unit(self.pool_width, name="branch_pool")(_average(x))
        return jnp.concatenate([one, five, three, pool], axis=-1)


class _Reduce35(nn.Module):
    """From 35x35 to 17x17."""

    @nn.compact
    def __call__(self, x: Maps) -> NewMaps:
        once = _Unit(384, (3, 3), 2, "VALID", name="branch3x3")(x)
        twice = _Unit(64, name="branch3x3dbl_1")(x)
        twice = _Unit(96, (3, 3), name="branch3x3dbl_2")(twice)
        twice = _Unit(96, (3, 3), 2, "VALID", name="branch3x3dbl_3")(twice)
        return jnp.concatenate([once, twice, _halve(x)], axis=-1)


class _Mixed17(nn.Module):
    """The block for 17x17 maps, whose 7x7 convolutions are split into rows and columns."""

    width: int

    @nn.compact
    def __call__(self, x: Maps) -> NewMaps:
        wide, tall = (1, 7), (7, 1)
        one = _Unit(192, name="branch1x1")(x)
        once = _Unit(self.width, name="branch7x7_1")(x)
        once = _Unit(self.width, wide, name="branch7x7_2")(once)
        once = _Unit(192, tall, name="branch7x7_3")(once)
        twice = _Unit(self.width, name="branch7x7dbl_1")(x)
        twice = _Unit(self.width, tall, name="branch7x7dbl_2")(twice)
        twice = _Unit(self.width, wide, name="branch7x7dbl_3")(twice)
        twice = _Unit(self.width, tall, name="branch7x7dbl_4")(twice)
        twice = _Unit(192, wide, name="branch7x7dbl_5")(twice)
        pool = _Unit(192, name="branch_pool")(_average(x))
        return jnp.concatenate([one, once, twice, pool], axis=-1)


class _Reduce17(nn.Module):
    """From 17x17 to 8x8."""

    @nn.compact
    def __call__(self, x: Maps) -> NewMaps:
        three = _Unit(192, name="branch3x3_1")(x)
        three = _Unit(320, (3, 3), 2, "VALID", name="branch3x3_2")(three)
        seven = _Unit(192, name="branch7x7x3_1")(x)
        seven = _Unit(192, (1, 7), name="branch7x7x3_2")(seven)
        seven = _Unit(192, (7, 1), name="branch7x7x3_3")(seven)
        seven = _Unit(192, (3, 3), 2, "VALID", name="branch7x7x3_4")(seven)
        return jnp.concatenate([three, seven, _halve(x)], axis=-1)


class _Mixed8(nn.Module):
    """The block for 8x8 maps, whose branches fork into rows and columns."""

    max_pool: bool

    @nn.compact
    def __call__(self, x: Maps) -> NewMaps:
        wide, tall = (1, 3), (3, 1)
        one = _Unit(320, name="branch1x1")(x)
        once = _Unit(384, name="branch3x3_1")(x)
        twice = _Unit(448, name="branch3x3dbl_1")(x)
        twice = _Unit(384, (3, 3), name="branch3x3dbl_2")(twice)
        # The published graph pools its last block by the maximum, against the paper.
        pooled = nn.max_pool(x, (3, 3), padding="SAME") if self.max_pool else _average(x)
        branches = [
            one,
            _Unit(384, wide, name="branch3x3_2a")(once),
            _Unit(384, tall, name="branch3x3_2b")(once),
            _Unit(384, wide, name="branch3x3dbl_3a")(twice),
            _Unit(384, tall, name="branch3x3dbl_3b")(twice),
            _Unit(192, name="branch_pool")(pooled),
        ]
        return jnp.concatenate(branches, axis=-1)


def _halve(x: Maps) -> NewMaps:
    return nn.max_pool(x, (3, 3), strides=(2, 2))


def _average(x: Maps) -> Maps:
    """The mean of each 3x3 neighbourhood, without what lies outside the map."""
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)
