"""I-JEPA's predictor: a narrow transformer from the tokens of a context to those of a target."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Float32, Int

from ssljax.models.layers.positions import sincos_positions
from ssljax.models.layers.transformer import TransformerBlock, layer_norm

_INIT = nn.initializers.normal(0.02)


class LatentPredictor(nn.Module):
    """Predicts the encoder's tokens at some places from its tokens at others.

    Attributes:
      out_dim: Channels of the encoder's tokens.
      dim: Channels of the predictor's own tokens, a multiple of 4.
      depth: Number of blocks.
      heads: Number of attention heads; divides `dim`.
      dtype: Type of the arithmetic.

    Reference:
      Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive
      Architecture (arXiv:2301.08243), 2023, section 3 and appendix A.
    """

    out_dim: int
    dim: int
    depth: int
    heads: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        tokens: Float[Array, "batch seen out_dim"],
        places: Int[Array, "batch seen"],
        present: Bool[Array, "batch seen"],
        targets: Int[Array, "batch blocks each"],
        targets_present: Bool[Array, "batch blocks each"],
        grid: tuple[int, int],
        train: bool,
    ) -> Float32[Array, "batch blocks each out_dim"]:
        """Predicts each block of targets by itself.

        Args:
          tokens: The encoder's tokens of the context.
          places: Their places, row by row of the image.
          present: False for tokens that only fill up an example.
          targets: Places of each block's targets.
          targets_present: False for targets that only fill up a block.
          grid: Rows and columns of patches.
          train: Passed on to the blocks of the transformer.

        Returns:
          The predictions; those of targets that are not present mean nothing.
        """
        batch, blocks, each = targets.shape
        seen = places.shape[1]
        positions = sincos_positions(*grid, self.dim).reshape(-1, self.dim).astype(self.dtype)
        mask_token = self.param("mask_token", _INIT, (self.dim,), jnp.float32)
        known = self._linear(self.dim, "embedding")(tokens) + positions[places]
        asked = mask_token.astype(self.dtype)[None, None, None] + positions[targets]
        known = jnp.broadcast_to(known[:, None], (batch, blocks, seen, self.dim))
        x = jnp.concatenate([known, asked], axis=2).reshape(batch * blocks, seen + each, self.dim)
        there = jnp.broadcast_to(present[:, None], (batch, blocks, seen))
        there = jnp.concatenate([there, targets_present], axis=2).reshape(batch * blocks, -1)
        for index in range(1, self.depth + 1):
            block = TransformerBlock(
                self.heads, kernel_init=_INIT, dtype=self.dtype, name=f"block{index}"
            )
            x, _ = block(x, train, there)
        x = layer_norm(x[:, seen:], self.dtype, "norm")
        predicted = self._linear(self.out_dim, "prediction")(x).astype(jnp.float32)
        return predicted.reshape(batch, blocks, each, self.out_dim)

    def _linear(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, kernel_init=_INIT, dtype=self.dtype, name=name)
