"""Spectral normalisation, and the layers that have it as an option."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.layers.convolution import conv_general_dilated, conv_transpose
from ssljax.ops.normalize import l2_normalize

DCGAN_INIT = nn.initializers.normal(0.02)
"""Radford et al. (2015), section 3: zero-centred normal, standard deviation 0.02."""


def power_iteration(
    kernel: Float[Array, "*inputs outputs"], u: Float[Array, "outputs"]
) -> Float[Array, "outputs"]:
    """Turns u by one iteration towards the kernel's first singular vector.

    Args:
      kernel: Weights of any scale, output channels last, seen as a matrix (-1, outputs).
      u: Vector of length 1.

    Returns:
      The next u, of length 1, through which no gradient passes. A kernel of zeros leaves u.

    Reference:
      Miyato et al., Spectral Normalization (arXiv:1802.05957), 2018, appendix A.
    """
    matrix = jax.lax.stop_gradient(kernel.reshape(-1, kernel.shape[-1]))
    turned = l2_normalize(_dot(l2_normalize(_dot(matrix, u)), matrix))
    return jax.lax.stop_gradient(jnp.where(jnp.any(turned != 0), turned, u))


def spectral_sigma(
    kernel: Float[Array, "*inputs outputs"], u: Float[Array, "outputs"]
) -> Float[Array, ""]:
    """Estimates the largest singular value of a kernel from one of its singular vectors.

    Args:
      kernel: Weights, output channels last, seen as a matrix (-1, outputs).
      u: Vector of length 1; the nearer to the first singular vector, the better the estimate,
        which is never above the true value.

    Returns:
      The product v W u with v = W u / |W u|. It is differentiated through W alone, so that its
      gradient is the outer product of v and u.

    Reference:
      Miyato et al., Spectral Normalization (arXiv:1802.05957), 2018, section 2.
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    image = _dot(matrix, jax.lax.stop_gradient(u))
    return _dot(jax.lax.stop_gradient(l2_normalize(image)), image)


class Conv(nn.Module):
    """A convolution with bias and, if asked for, spectral norm.

    Padding is alike on all sides, and by default such that an even side shrinks by the stride
    exactly.

    Attributes:
      features: Output channels.
      size: Side of the square kernel.
      stride: Step in both directions.
      use_bias: Whether to add a bias.
      spectral_norm: Whether the kernel is divided by its largest singular value. The vector u of
        the estimate is the collection `spectral`. It turns by one iteration where `train` is
        true and the collection is mutable; in evaluation, or where it is frozen (a second pass in
        the same update, another player's pass), it is used as it stands.
      kernel_init: Initialiser of the kernel.
      dtype: Type of the arithmetic; kernel, bias and u are float32.
      padding: Pixels of padding on each side; None for those that the first sentence asks for.
      reflect: Whether the padding is the image's mirror image, and not zeros.

    Reference:
      Miyato et al., Spectral Normalization (arXiv:1802.05957), 2018.
    """

    features: int
    size: int
    stride: int = 1
    use_bias: bool = True
    spectral_norm: bool = False
    kernel_init: nn.initializers.Initializer = DCGAN_INIT
    dtype: DTypeLike = jnp.float32
    padding: int | None = None
    reflect: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch out_height out_width features"]:
        """Applies the convolution."""
        kernel = _kernel(self, (self.size, self.size, x.shape[-1], self.features), train)
        margin = _margin(self.size, self.stride) if self.padding is None else self.padding
        if self.reflect:
            x = jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
            margin = 0
        y = conv_general_dilated(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            window_strides=(self.stride, self.stride),
            padding=((margin, margin), (margin, margin)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return _add_bias(self, y) if self.use_bias else y


class ConvTranspose(nn.Module):
    """A transposed convolution that enlarges by its stride exactly; attributes as of `Conv`.

    With `mirrored` its places are those of the `Conv` of the same size and stride: it is the
    transpose of that one, as PyTorch's is. Otherwise an odd kernel begins one pixel later.
    """

    features: int
    size: int
    stride: int
    use_bias: bool = True
    spectral_norm: bool = False
    kernel_init: nn.initializers.Initializer = DCGAN_INIT
    dtype: DTypeLike = jnp.float32
    mirrored: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> Float[Array, "batch out_height out_width features"]:
        """Applies the transposed convolution."""
        kernel = _kernel(self, (self.size, self.size, x.shape[-1], self.features), train)
        margin = _margin(self.size, self.stride) if self.mirrored else None
        y = conv_transpose(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, margin)
        return _add_bias(self, y) if self.use_bias else y


class Dense(nn.Module):
    """A linear layer; attributes as of `Conv`, and `bias_init` of the bias."""

    features: int
    use_bias: bool = True
    spectral_norm: bool = False
    kernel_init: nn.initializers.Initializer = DCGAN_INIT
    bias_init: nn.initializers.Initializer = nn.initializers.zeros
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch inputs"], train: bool
    ) -> Float[Array, "batch features"]:
        """Applies the layer."""
        kernel = _kernel(self, (x.shape[-1], self.features), train)
        y = x.astype(self.dtype) @ kernel.astype(self.dtype)
        return _add_bias(self, y, self.bias_init) if self.use_bias else y


class Embed(nn.Module):
    """One learned float32 vector a class; attributes as of `Conv`, and the number of classes."""

    num_classes: int
    features: int
    spectral_norm: bool = False
    kernel_init: nn.initializers.Initializer = DCGAN_INIT

    @nn.compact
    def __call__(self, labels: Int[Array, "batch"], train: bool) -> Float[Array, "batch features"]:
        """Looks the vectors up; a label that is not a class, such as -1, gives NaN."""
        kernel = _kernel(self, (self.num_classes, self.features), train)
        return rows_of_classes(kernel, labels)


def rows_of_classes(
    table: Float[Array, "classes features"], labels: Int[Array, "batch"]
) -> Float[Array, "batch features"]:
    """The row of each label; NaN for a label that is not a class, such as -1 for an unknown one."""
    # A negative index would count from the end.
    places = jnp.where(labels < 0, table.shape[0], labels)
    return jnp.take(table, places, axis=0, mode="fill", fill_value=jnp.nan)


def _margin(size: int, stride: int) -> int:
    return (size - stride + 1) // 2


def _kernel(layer: Any, shape: tuple[int, ...], train: bool) -> Float[Array, "*inputs outputs"]:
    """Makes a layer's kernel and, if asked for, its vector u, and divides the one by its norm."""
    kernel = layer.param("kernel", layer.kernel_init, shape, jnp.float32)
    if not layer.spectral_norm:
        return kernel
    u = layer.variable(
        "spectral",
        "u",
        lambda: l2_normalize(jax.random.normal(layer.make_rng("params"), shape[-1:], jnp.float32)),
    )
    if train and layer.is_mutable_collection("spectral") and not layer.is_initializing():
        u.value = power_iteration(kernel, u.value)
    sigma = spectral_sigma(kernel, u.value)
    return kernel / jnp.where(sigma == 0, 1.0, sigma)


def _add_bias(
    layer: nn.Module,
    y: Float[Array, "*places features"],
    init: nn.initializers.Initializer = nn.initializers.zeros,
) -> Float[Array, "*places features"]:
    bias = layer.param("bias", init, y.shape[-1:], jnp.float32)
    return y + bias.astype(y.dtype).reshape([1] * (y.ndim - 1) + [-1])


def _dot(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    # Accelerators' default of 8 or 11 bits would put sigma off by more than a step moves it.
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)
