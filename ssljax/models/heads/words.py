"""Heads that predict bags of visual words."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from ssljax.models.layers.norm import BatchNorm
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import inner_products


class GeneratedWords(nn.Module):
    """Logits of words whose weights are generated from the vocabulary.

    A word passes through a linear layer twice as wide as the features, a batch norm over the words,
    a ReLU and a linear layer; what comes out is scaled to length 1 and is the word's weights.
    So the vocabulary may change from step to step.

    Attributes:
      scale: Factor on the features, which are not normalised.
      dtype: Type of the generator's arithmetic.

    Reference:
      Gidaris et al., OBoW: Online Bag-of-Visual-Words Generation for Self-Supervised Learning
      (arXiv:2012.11552), 2021, section 3.3; `BoWPredictor` of valeoai/obow.
    """

    scale: float = 8.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "batch dim"],
        vocabulary: Float[Array, "words channels"],
        train: bool,
    ) -> Float32[Array, "batch words"]:
        """Computes the logits of all words; `train` is for the batch norm."""
        dim = features.shape[1]
        x = nn.Dense(2 * dim, use_bias=False, dtype=self.dtype, name="hidden")(
            l2_normalize(vocabulary)
        )
        x = nn.relu(BatchNorm(dtype=self.dtype, name="norm")(x, train))
        weights = l2_normalize(nn.Dense(dim, dtype=self.dtype, name="weights")(x))
        return inner_products(self.scale * features.astype(jnp.float32), weights)


class CosineWords(nn.Module):
    """Logits of words with weights of length 1 and one learnt scale; features keep their length.

    Attributes:
      words: Number of words.
      scale: The scale at the start.

    Reference:
      Gidaris et al., Learning Representations by Predicting Bags of Visual Words
      (arXiv:2002.12247), 2020, eq. 4.
    """

    words: int
    scale: float = 10.0

    @nn.compact
    def __call__(self, features: Float[Array, "batch dim"]) -> Float32[Array, "batch words"]:
        """Computes the logits: inner products with weights of length 1, times the scale."""
        init = nn.initializers.normal(1.0)
        weights = self.param("weights", init, (self.words, features.shape[1]), jnp.float32)
        scale = self.param("scale", nn.initializers.constant(self.scale), (), jnp.float32)
        return scale * inner_products(features.astype(jnp.float32), l2_normalize(weights))
