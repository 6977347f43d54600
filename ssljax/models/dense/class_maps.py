"""Heads that score classes at every place of a map: linear, with context, and atrous pyramids."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.padded import conv
from ssljax.models.roles import Role


class LinearHead(nn.Module):
    """A 1x1 convolution with bias.

    Attributes:
      num_classes: Scores of a place.
      std: Standard deviation of the kernel at the start.
      dtype: Unread: the one layer is a last one, and those are float32.
    """

    num_classes: int
    std: float = 0.001
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch height width {self.num_classes}"]:
        """Scores the classes of each place, in float32; `train` is unread."""
        start = nn.initializers.normal(self.std)
        return _scores(self.num_classes, 1, 1, start, "classifier")(x.astype(jnp.float32))


class NormalizedLinearHead(nn.Module):
    """Batch norm and a 1x1 convolution: what of a frozen encoder's map is linear in its values.

    Attributes:
      num_classes: Scores of a place.
      std: Standard deviation of the kernel at the start.

    Reference:
      Oquab et al., DINOv2 (arXiv:2304.07193), 2023, section 7.4; `BNHead` of its code.
    """

    num_classes: int
    std: float = 0.01

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch height width {self.num_classes}"]:
        """Scores the classes of each place, in float32.

        Args:
          x: A map, of any type.
          train: Whether the norm uses and updates the statistics of the batch.
        """
        x = BatchNorm(name="norm")(x, train)
        return LinearHead(self.num_classes, self.std, name="linear")(x, train)


class ASPP(nn.Module):
    """The sum of 3x3 atrous convolutions of several rates, each with bias, over the classes.

    Attributes:
      num_classes: Scores of a place.
      rates: Dilations of the branches.
      std: Standard deviation of the kernels at the start.
      dtype: Type in which the maps are read; scores are float32.

    Reference:
      Chen et al., DeepLab (arXiv:1606.00915), 2017, section 3.2, as on ResNet-101: the branches
      that the paper has on VGG-16 are of three layers each. Initialisation: `deeplabv2.py` of
      kazuto1011/deeplab-pytorch.
    """

    num_classes: int
    rates: tuple[int, ...] = (6, 12, 18, 24)
    std: float = 0.01
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch height width {self.num_classes}"]:
        """Scores the classes of each place, in float32; `train` is unread.

        Raises:
          ValueError: If there are no rates or two are the same.
        """
        if not self.rates or len(set(self.rates)) < len(self.rates) or min(self.rates) < 1:
            raise ValueError(
                f"The rates of the pyramid are {self.rates}: give different ones, from 1."
            )
        x = x.astype(self.dtype).astype(jnp.float32)
        start = nn.initializers.normal(self.std)
        branches = [
            _scores(self.num_classes, 3, rate, start, f"rate{rate}")(x) for rate in self.rates
        ]
        return sum(branches[1:], start=branches[0])


class ContextHead(nn.Module):
    """A linear head, and the context module on its scores: ever larger holes, no loss of places.

    The context module has 3x3 convolutions of `dilations` with ReLUs, on maps that zeros surround,
    and a 1x1 convolution. Each starts as the identity with noise, so that scores above 0 pass
    through as they are.

    Attributes:
      num_classes: Scores of a place, and channels of all layers.
      dilations: Of the 3x3 convolutions; the paper's larger module has (1, 1, 2, 4, 8, 16, 32, 64,
        1).
      std: Standard deviation of the linear head's kernel at the start.
      noise: The same of what is added to the identity.
      dtype: Type in which the maps are read; scores are float32.

    Reference:
      Yu and Koltun (arXiv:1511.07122), 2016, sections 3 and 4; `network.py` of fyu/dilation.
    """

    num_classes: int
    dilations: tuple[int, ...] = (1, 1, 2, 4, 8, 16, 1)
    std: float = 0.001
    noise: float = 0.01
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch height width {self.num_classes}"]:
        """Scores the classes of each place, in float32; `train` is unread."""
        x = LinearHead(self.num_classes, self.std, name="front")(x.astype(self.dtype), train)
        start = partial(identity, noise=self.noise)
        for number, dilation in enumerate(self.dilations, start=1):
            name = f"context{number}"
            layer = _scores(self.num_classes, 3, dilation, start, name)
            x = nn.relu(layer(x))
        return _scores(self.num_classes, 1, 1, start, "classifier")(x)


def identity(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32, noise: float = 0.01
) -> Float[Array, "rows columns inputs outputs"]:
    """Starts a kernel of as many inputs as outputs as one that changes nothing, with noise.

    Args:
      key: Of the noise.
      shape: (rows, columns, inputs, outputs), both sides odd.
      dtype: Of the kernel.
      noise: Standard deviation of what is added.
    """
    kernel = noise * jax.random.normal(key, shape, jnp.float32)
    kernel = kernel.at[shape[0] // 2, shape[1] // 2].add(
        jnp.eye(shape[2], shape[3], dtype=jnp.float32)
    )
    return kernel.astype(dtype)


def _scores(
    num_classes: int, kernel: int, dilation: int, start: nn.initializers.Initializer, name: str
) -> nn.Conv:
    """A last layer: of float32, with bias."""
    options = {"use_bias": True, "kernel_init": start}
    return conv(num_classes, kernel, 1, jnp.float32, name, dilation, **options)


SEGMENTATION_HEADS: dict[str, Callable[..., nn.Module]] = {
    "aspp": ASPP,
    "context": ContextHead,
    "linear": LinearHead,
}

SEGMENTATION_HEAD = Role(
    kind="segmentation head",
    networks=SEGMENTATION_HEADS,
    options=dict(
        name="aspp",
        rates=(),  # Dilations of the pyramid's branches.
        dilations=(),  # Of the context module's 3x3 convolutions.
        dtype="float32",
    ),
)
"""An option that is empty stands for the head's own."""
