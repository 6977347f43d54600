"""Norms: over the global batch, over parts of it, over each example alone, and none at all."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

NormFactory = Callable[..., nn.Module]
"""Makes a norm from `scale_init`, `use_scale`, `use_bias`, `dtype` and `name`.

The module that it returns is called as `norm(x, train)`.
"""


class BatchNorm(nn.Module):
    """Batch normalisation with float32 statistics, optionally over groups of the batch.

    Under `jit` the batch is the global one, however it is sharded. With `groups > 1` the
    examples `g, g + groups, g + 2 * groups, ...` are normalised by their own mean and variance:
    this is the statistics split over devices that MoCo relies on, without the devices. The groups
    are strided so that a sharded batch stays where it is when `batch / groups` is a multiple of
    the number of devices. The running statistics are those of the groups, averaged.

    Attributes:
      groups: Number of groups; divides the batch in training. It has no effect in evaluation.
      frozen: Whether the running statistics are used, and stay, in training as well.
      momentum: Share of the old value in each update of the running statistics.
      epsilon: Added to the variance.
      use_scale: Whether the channels have learned scales.
      use_bias: Whether the channels have learned biases.
      scale_init: Initialiser of the scales.
      dtype: Type of the output. Statistics and arithmetic are always float32.

    Reference:
      Ioffe & Szegedy, Batch Normalization (arXiv:1502.03167), 2015. Groups: He et al., Momentum
      Contrast (arXiv:1911.05722), 2019, section 3.3.
    """

    groups: int = 1
    frozen: bool = False
    momentum: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *spatial channels"], train: bool
    ) -> Float[Array, "batch *spatial channels"]:
        """Normalises each channel.

        Args:
          x: Activations, channels last.
          train: Whether to use the statistics of this batch and update the running ones (collection
            `batch_stats`), or to use the running ones.

        Returns:
          Activations of the same shape, of type `dtype`.

        Raises:
          ValueError: If `groups` does not divide the batch, or a group has one value per channel.
        """
        channels = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        # Initialisation only makes shapes and may see a batch smaller than the real one.
        learns = train and not self.frozen and not self.is_initializing()
        groups = self.groups if learns else 1
        grouped = self._split(x.astype(jnp.float32), groups)
        per_group = (1, groups, *([1] * (x.ndim - 2)), channels)
        mean = _mean(grouped) if learns else running_mean.value[None]
        grouped = grouped - mean.reshape(per_group)
        if learns:
            # A second pass: the mean of the squares less the square of the mean would lose a
            # variance that is small compared with the mean.
            var = _mean(jnp.square(grouped))
            keep = self.momentum
            running_mean.value = keep * running_mean.value + (1 - keep) * jnp.mean(mean, axis=0)
            running_var.value = keep * running_var.value + (1 - keep) * jnp.mean(var, axis=0)
        else:
            var = running_var.value[None]

        factor = jax.lax.rsqrt(var + self.epsilon)
        if self.use_scale:
            factor = factor * self.param("scale", self.scale_init, (channels,), jnp.float32)[None]
        y = (grouped * factor.reshape(per_group)).reshape(x.shape)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
            y = y + bias.reshape([1] * (x.ndim - 1) + [channels])
        return y.astype(self.dtype)

    def _split(
        self, x: Float[Array, "batch *spatial channels"], groups: int
    ) -> Float[Array, "rows groups *spatial channels"]:
        batch, *rest = x.shape
        if groups < 1 or batch % groups:
            raise ValueError(f"A batch of {batch} cannot be split into {groups} equal norm groups.")
        return x.reshape(batch // groups, groups, *rest)


class LayerNorm(nn.Module):
    """Normalises each example by the mean and variance of all its channels and positions.

    Nothing of one example reaches another, in training or in evaluation. It takes the place of
    `BatchNorm` in any encoder.

    Attributes:
      epsilon: Added to the variance.
      use_scale: Whether the channels have learned scales.
      use_bias: Whether the channels have learned biases.
      scale_init: Initialiser of the scales.
      dtype: Type of the output. Statistics and arithmetic are always float32.

    Reference:
      Ba et al., Layer Normalization (arXiv:1607.06450), 2016.
    """

    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *spatial channels"], train: bool
    ) -> Float[Array, "batch *spatial channels"]:
        """Normalises each example; training and evaluation are the same."""
        return _normalize_each(self, x, tuple(range(1, x.ndim)))


class InstanceNorm(nn.Module):
    """Normalises each channel of each example by its mean and variance over the positions.

    Nothing is learned by default, and there are no running statistics: training and evaluation are
    the same. It takes the place of `BatchNorm`.

    Attributes:
      epsilon: Added to the variance.
      use_scale: Whether the channels have learned scales.
      use_bias: Whether the channels have learned biases.
      scale_init: Initialiser of the scales.
      dtype: Type of the output. Statistics and arithmetic are always float32.

    Reference:
      Ulyanov et al., Instance Normalization: The Missing Ingredient for Fast Stylization
      (arXiv:1607.08022), 2016.
    """

    epsilon: float = 1e-5
    use_scale: bool = False
    use_bias: bool = False
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *spatial channels"], train: bool
    ) -> Float[Array, "batch *spatial channels"]:
        """Normalises each channel of each example.

        Raises:
          ValueError: If there is one position, whose deviation from the mean is always 0.
        """
        if x.size == x.shape[0] * x.shape[-1]:
            raise ValueError(
                "Instance norm needs more than one position, and these maps have one: make the "
                "images larger, or the network shallower."
            )
        return _normalize_each(self, x, tuple(range(1, x.ndim - 1)))


class GroupNorm(nn.Module):
    """Normalises groups of each example's channels, over all positions.

    Nothing of one example reaches another, in training or in evaluation.

    Attributes:
      groups: How many; they divide the channels.
      epsilon: Added to the variance.
      use_scale: Whether the channels have learned scales.
      use_bias: Whether the channels have learned biases.
      scale_init: Initialiser of the scales.
      dtype: Type of the output. Statistics and arithmetic are always float32.

    Reference:
      Wu and He, Group Normalization (arXiv:1803.08494), 2018.
    """

    groups: int = 32
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *spatial channels"], train: bool
    ) -> Float[Array, "batch *spatial channels"]:
        """Normalises each group; training and evaluation are the same.

        Raises:
          ValueError: If the groups do not divide the channels.
        """
        if x.shape[-1] % self.groups:
            raise ValueError(f"{self.groups} groups do not divide {x.shape[-1]} channels.")
        axes = (*range(1, x.ndim - 1), x.ndim)
        return _normalize_each(self, x, axes, self.groups)


def _mean(x: Float[Array, "rows groups *spatial channels"]) -> Float[Array, "groups channels"]:
    """Mean of each group."""
    if x.size == x.shape[1] * x.shape[-1]:
        raise ValueError(
            "Batch norm in training needs more than one value per channel: "
            f"{x.shape[1]} group(s) of one {'x'.join(map(str, x.shape[2:]))} activation have one; "
            "make batch_size larger."
        )
    return jnp.mean(x, axis=(0, *range(2, x.ndim - 1)))


def _normalize_each(
    norm: Any, x: Float[Array, "batch *spatial channels"], axes: tuple[int, ...], groups: int = 0
) -> Float[Array, "batch *spatial channels"]:
    """Normalises each example over some of its own axes, then scales and shifts its channels.

    With groups, an axis of theirs comes before that of the channels in each.
    """
    y = x.astype(jnp.float32)
    if groups:
        y = y.reshape(*x.shape[:-1], groups, -1)
    y = y - jnp.mean(y, axis=axes, keepdims=True)
    y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=axes, keepdims=True) + norm.epsilon)
    y = y.reshape(x.shape)
    channels = [1] * (x.ndim - 1) + [x.shape[-1]]
    if norm.use_scale:
        scale = norm.param("scale", norm.scale_init, (x.shape[-1],), jnp.float32)
        y = y * scale.reshape(channels)
    if norm.use_bias:
        bias = norm.param("bias", nn.initializers.zeros, (x.shape[-1],), jnp.float32)
        y = y + bias.reshape(channels)
    return y.astype(norm.dtype)


class NoNorm(nn.Module):
    """Stands where a network has a norm, and changes nothing.

    Attributes:
      use_scale: Unread, as are the next two: there is nothing to learn.
      use_bias: Likewise.
      scale_init: Likewise.
      dtype: Type of the output.
    """

    use_scale: bool = True
    use_bias: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32

    def __call__(
        self, x: Float[Array, "batch *spatial channels"], train: bool
    ) -> Float[Array, "batch *spatial channels"]:
        """Returns the activations, as type `dtype`."""
        return x.astype(self.dtype)
