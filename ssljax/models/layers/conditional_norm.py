"""Batch norms whose scale and bias come from a label or from the latent vector."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.spectral_norm import Dense, rows_of_classes


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a scale and a bias for each class, which start at 1 and 0.

    Statistics are those of the whole batch, whatever the labels.

    Attributes:
      num_classes: Number of classes.
      dtype: Type of the output; arithmetic, parameters and statistics are float32.

    Reference:
      Dumoulin et al., A Learned Representation For Artistic Style (arXiv:1610.07629), 2016; for
      generators, Miyato & Koyama, cGANs with Projection Discriminator (arXiv:1802.05637), 2018.
    """

    num_classes: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch *spatial channels"],
        train: bool,
        labels: Int[Array, "batch"],
    ) -> Float[Array, "batch *spatial channels"]:
        """Normalises each channel; a label that is not a class, such as -1, gives NaN."""
        shape = (self.num_classes, x.shape[-1])
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        y = BatchNorm(use_scale=False, use_bias=False, name="norm")(x, train)
        scale, bias = rows_of_classes(scale, labels), rows_of_classes(bias, labels)
        return _modulate(y, scale, bias, self.dtype)


class SelfModulatedBatchNorm(nn.Module):
    """Batch norm whose scale and bias are a small network's outputs for the latent vector.

    The latent vector passes through a hidden layer and a ReLU, and from there through one linear
    layer to the scales, whose bias starts at 1, and through another to the biases.

    Attributes:
      hidden: Units of the hidden layer.
      spectral_norm: Whether the three layers have spectral norm.
      dtype: Type of the output; arithmetic, parameters and statistics are float32.

    Reference:
      Chen et al., On Self Modulation for GANs (arXiv:1810.01365), 2018.
    """

    hidden: int = 32
    spectral_norm: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch *spatial channels"],
        train: bool,
        latents: Float[Array, "batch latent_dim"],
    ) -> Float[Array, "batch *spatial channels"]:
        """Normalises each channel."""
        sn, ones = self.spectral_norm, nn.initializers.ones
        h = Dense(self.hidden, spectral_norm=sn, name="hidden_dense")(latents, train)
        h = nn.relu(h)
        scale = Dense(x.shape[-1], spectral_norm=sn, bias_init=ones, name="scale")(h, train)
        bias = Dense(x.shape[-1], spectral_norm=sn, name="bias")(h, train)
        y = BatchNorm(use_scale=False, use_bias=False, name="norm")(x, train)
        return _modulate(y, scale, bias, self.dtype)


class LatentBatchNorm(nn.Module):
    """Batch norm whose scale and bias are linear in the latent vector, or in a part of it.

    The scale is 1 and a linear layer without bias; the bias is another one.

    Attributes:
      spectral_norm: Whether the two layers have spectral norm.
      dtype: Type of the output; arithmetic, parameters and statistics are float32.

    Reference:
      Brock et al., Large Scale GAN Training for High Fidelity Natural Image Synthesis
      (arXiv:1809.11096), 2018, appendix B, without its classes.
    """

    spectral_norm: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch *spatial channels"],
        train: bool,
        latents: Float[Array, "batch latent_dim"],
        labels: Int[Array, "batch"] | None = None,
    ) -> Float[Array, "batch *spatial channels"]:
        """Normalises each channel; labels are ignored."""
        scale, bias = (
            Dense(
                x.shape[-1],
                use_bias=False,
                spectral_norm=self.spectral_norm,
                kernel_init=nn.initializers.xavier_uniform(),
                name=name,
            )(latents, train)
            for name in ("scale", "bias")
        )
        y = BatchNorm(use_scale=False, use_bias=False, name="norm")(x, train)
        return _modulate(y, 1.0 + scale, bias, self.dtype)


def _modulate(
    y: Float[Array, "batch *spatial channels"],
    scale: Float[Array, "batch channels"],
    bias: Float[Array, "batch channels"],
    dtype: DTypeLike,
) -> Float[Array, "batch *spatial channels"]:
    """Scales and shifts all positions of an example alike."""
    per_example = (y.shape[0], *([1] * (y.ndim - 2)), y.shape[-1])
    return (y * scale.reshape(per_example) + bias.reshape(per_example)).astype(dtype)
