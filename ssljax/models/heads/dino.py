"""DINO's head."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import inner_products

_KERNEL_INIT = nn.initializers.normal(0.02)
# PyTorch's default for linear layers: uniform within 1 / sqrt(bottleneck). Its rows have length
# 0.58. The logits do not depend on it, but the shorter a row is, the more an update turns it.
_LAST_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform", in_axis=1, out_axis=0)


class DinoHead(nn.Module):
    """A perceptron down to a bottleneck of unit length, and a weight-normed layer without bias.

    The gain of the weight norm is fixed at 1: the logits are cosines.

    Attributes:
      num_layers: Layers of the perceptron, at least 1; all but the last are followed by GELU.
      hidden_dim: Width of its hidden layers.
      bottleneck_dim: Width of its output.
      out_dim: Number of logits.
      batch_norm: Whether a norm precedes each GELU.
      dtype: Type of the perceptron's arithmetic; bottleneck and logits are float32.

    Reference:
      Caron et al., DINO, 2021, appendix C; `DINOHead` in `vision_transformer.py` of
      facebookresearch/dino.
    """

    num_layers: int = 3
    hidden_dim: int = 2048
    bottleneck_dim: int = 256
    out_dim: int = 65536
    batch_norm: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch dim"], train: bool
    ) -> list[Float[Array, "batch layer_dim"]]:
        """Applies the layers.

        Args:
          x: Features.
          train: Whether norms use and update batch statistics.

        Returns:
          The output of every layer; the last but one is the bottleneck, the last the logits.
        """
        outputs = []
        for layer in range(1, self.num_layers):
            x = self._linear(self.hidden_dim, layer)(x)
            if self.batch_norm:
                x = BatchNorm(dtype=self.dtype, name=f"norm{layer}")(x, train)
            x = nn.gelu(x, approximate=False)
            outputs.append(x)
        bottleneck = l2_normalize(self._linear(self.bottleneck_dim, self.num_layers)(x))
        shape = (self.out_dim, self.bottleneck_dim)
        directions = l2_normalize(self.param("last_layer", _LAST_INIT, shape))
        logits = inner_products(bottleneck, directions)
        return [*outputs, bottleneck, logits]

    def _linear(self, features: int, layer: int) -> nn.Dense:
        return nn.Dense(features, kernel_init=_KERNEL_INIT, dtype=self.dtype, name=f"linear{layer}")
