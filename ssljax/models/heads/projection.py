"""Heads: the small networks between an encoder and a loss."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm, NormFactory


class ProjectionHead(nn.Module):
    """A multi-layer perceptron: the projector and predictor of the joint-embedding methods.

    A hidden layer is linear, norm (if `batch_norm`), ReLU; the last is linear and, if
    `last_batch_norm`, norm. A linear layer that a norm follows has no bias, since the norm would
    cancel it. The defaults are SimCLR's head as its code has it; SimCLR v2's has three layers, and
    both start their kernels at `nn.initializers.normal(0.01)`.

    ================= ========== ========== =============== ============== ===========
    method            num_layers batch_norm last_batch_norm last_bn_affine last_bias
    ================= ========== ========== =============== ============== ===========
    SimCLR            2          True       True            "scale"        -
    MoCo v2           2          False      False           -              True
    BYOL              2          True       False           -              False
    SimSiam projector 3          True       True            "none"         -
    SimSiam predictor 2          True       False           -              True
    MoCo v3 projector 3          True       True            "none"         -
    Barlow Twins      3          True       False           -              False
    ================= ========== ========== =============== ============== ===========

    Attributes:
      num_layers: Number of linear layers, at least 1.
      hidden_dim: Width of the hidden layers; `None` for the width of the input.
      out_dim: Width of the output.
      batch_norm: Whether a norm follows each hidden linear layer.
      last_batch_norm: Whether a norm follows the last linear layer.
      last_bn_affine: What the last norm learns: `"none"`, `"scale"` or `"full"` (and bias).
      last_bias: Whether the last linear layer has a bias; only without a last norm.
      kernel_init: Initialiser of the kernels.
      norm: Makes the norms.
      dtype: Type of the arithmetic and of the outputs; parameters and statistics are float32.

    Reference:
      Chen et al., SimCLR (arXiv:2002.05709), 2020, section 4.2; `projection_head` in
      `model_util.py` of google-research/simclr.
    """

    num_layers: int = 2
    hidden_dim: int | None = None
    out_dim: int = 128
    batch_norm: bool = True
    last_batch_norm: bool = True
    last_bn_affine: str = "scale"
    last_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    norm: NormFactory = BatchNorm
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
          The output of every layer, after its ReLU; the last is the projection. A linear probe or a
          fine-tuned classifier may start from an earlier one (SimCLR v2).

        Raises:
          ValueError: If there are no layers or `last_bn_affine` is unknown.
        """
        if self.num_layers < 1:
            raise ValueError(f"A head of {self.num_layers} layers has no output; give at least 1.")
        if self.last_bn_affine not in ("none", "scale", "full"):
            raise ValueError(
                f"last_bn_affine is {self.last_bn_affine!r}; it must be 'none', 'scale' or 'full'."
            )
        hidden_dim = x.shape[-1] if self.hidden_dim is None else self.hidden_dim
        outputs = []
        for layer in range(1, self.num_layers):
            x = self._linear(hidden_dim, not self.batch_norm, layer)(x)
            if self.batch_norm:
                x = self.norm(dtype=self.dtype, name=f"norm{layer}")(x, train)
            x = nn.relu(x)
            outputs.append(x)
        last = self.num_layers
        x = self._linear(self.out_dim, self.last_bias and not self.last_batch_norm, last)(x)
        if self.last_batch_norm:
            x = self.norm(
                use_scale=self.last_bn_affine != "none",
                use_bias=self.last_bn_affine == "full",
                dtype=self.dtype,
                name=f"norm{last}",
            )(x, train)
        return [*outputs, x]

    def _linear(self, features: int, use_bias: bool, layer: int) -> nn.Dense:
        return nn.Dense(
            features,
            use_bias=use_bias,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name=f"linear{layer}",
        )
