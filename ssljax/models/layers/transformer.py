"""The block of a transformer: self-attention, then a perceptron, each with a shortcut."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Float32, PRNGKeyArray

XAVIER = nn.initializers.xavier_uniform()


def layer_norm(
    x: Float[Array, "batch tokens dim"], dtype: DTypeLike, name: str
) -> Float[Array, "batch tokens dim"]:
    """Normalises each token over its channels, in float32, with a learned scale and bias.

    Args:
      x: Tokens.
      dtype: Type of the result.
      name: Name of the parameters in the calling module.

    Returns:
      The normalised tokens.
    """
    norm = nn.LayerNorm(epsilon=1e-6, use_fast_variance=False, dtype=jnp.float32, name=name)
    return norm(x.astype(jnp.float32)).astype(dtype)


class SelfAttention(nn.Module):
    """Multi-head self-attention with biases on queries, keys and values.

    Attributes:
      heads: Number of heads; divides the number of channels.
      kernel_init: Initialiser of the kernels; those of queries, keys and values start separately.
      dtype: Type of the arithmetic, but for the softmax, which is float32.

    Reference:
      Vaswani et al., Attention Is All You Need (arXiv:1706.03762), 2017, section 3.2.
    """

    heads: int
    kernel_init: nn.initializers.Initializer = XAVIER
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch tokens dim"],
        present: Bool[Array, "batch tokens"] | None = None,
    ) -> tuple[Float[Array, "batch tokens dim"], Float32[Array, "batch heads tokens tokens"]]:
        """Lets every token attend to all tokens of its example.

        Args:
          x: Tokens.
          present: False for tokens that fill up an example, to which none attends; at least one of
            each example is present. None: all are.

        Returns:
          The new tokens, and the weights that each (row) gave to each (column); rows sum to 1.

        Raises:
          ValueError: If the heads do not divide the channels.
        """
        batch, tokens, dim = x.shape
        if dim % self.heads:
            raise ValueError(f"{self.heads} heads cannot share {dim} channels equally.")
        qkv = nn.Dense(
            3 * dim, kernel_init=_in_thirds(self.kernel_init), dtype=self.dtype, name="qkv"
        )(x).reshape(batch, tokens, 3, self.heads, dim // self.heads)
        query, key, value = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        logits = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32)
        if present is not None:
            logits = jnp.where(present[:, None, None], logits, -jnp.inf)
        weights = nn.softmax(logits * (dim // self.heads) ** -0.5)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights.astype(self.dtype), value)
        out = nn.Dense(dim, kernel_init=self.kernel_init, dtype=self.dtype, name="out")
        return out(mixed.reshape(batch, tokens, dim)), weights


class TransformerBlock(nn.Module):
    """A pre-norm block; its perceptron is four times as wide as the tokens, with exact GELU.

    Attributes:
      heads: Number of attention heads.
      drop_path: Probability in [0, 1) with which, in training, an example skips the attention, and
        again the perceptron (stochastic depth); what is kept is scaled to keep the expectation.
        The draws come from the random collection `drop_path`, which is not needed when this is 0.
      layer_scale: Where the factor of each channel starts, by which what the attention adds to the
        tokens is scaled, and again what the perceptron adds; 0: there are no such factors.
      kernel_init: Initialiser of the kernels; biases start at 0.
      dtype: Type of the arithmetic. Parameters are always float32.

    Reference:
      Dosovitskiy et al., ViT (arXiv:2010.11929), 2020, eq. 2 and 3; Huang et al., Stochastic Depth
      (arXiv:1603.09382), 2016; LayerScale: Touvron et al., Going Deeper with Image Transformers
      (arXiv:2103.17239), 2021, section 2.
    """

    heads: int
    drop_path: float = 0.0
    layer_scale: float = 0.0
    kernel_init: nn.initializers.Initializer = XAVIER
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch tokens dim"],
        train: bool,
        present: Bool[Array, "batch tokens"] | None = None,
    ) -> tuple[Float[Array, "batch tokens dim"], Float32[Array, "batch heads tokens tokens"]]:
        """Applies the block.

        Args:
          x: Tokens.
          train: Whether paths are dropped.
          present: As for `SelfAttention`.

        Returns:
          The new tokens and the attention weights.

        Raises:
          ValueError: If `drop_path` is out of range or the heads do not divide the channels.
        """
        if not 0.0 <= self.drop_path < 1.0:
            raise ValueError(f"drop_path is {self.drop_path}; it must be at least 0 and below 1.")
        y = layer_norm(x, self.dtype, "norm1")
        attend = SelfAttention(self.heads, self.kernel_init, self.dtype, name="attention")
        y, weights = attend(y, present)
        x = x + self._drop(self._scaled(y, "layer_scale1"), train)
        y = layer_norm(x, self.dtype, "norm2")
        y = nn.gelu(self._linear(4 * x.shape[-1], "mlp_hidden")(y), approximate=False)
        y = self._linear(x.shape[-1], "mlp_out")(y)
        return x + self._drop(self._scaled(y, "layer_scale2"), train), weights

    def _linear(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, kernel_init=self.kernel_init, dtype=self.dtype, name=name)

    def _scaled(
        self, y: Float[Array, "batch tokens dim"], name: str
    ) -> Float[Array, "batch tokens dim"]:
        if not self.layer_scale:
            return y
        start = nn.initializers.constant(self.layer_scale)
        scale = self.param(name, start, (y.shape[-1],), jnp.float32)
        return y * scale.astype(self.dtype)[None, None]

    def _drop(
        self, y: Float[Array, "batch tokens dim"], train: bool
    ) -> Float[Array, "batch tokens dim"]:
        # One draw for all tokens and channels of an example.
        drop = nn.Dropout(self.drop_path, broadcast_dims=(1, 2), rng_collection="drop_path")
        return drop(y, deterministic=not train)


def _in_thirds(init: nn.initializers.Initializer) -> nn.initializers.Initializer:
    """Makes an initialiser of three matrices side by side, each started on its own."""

    def initialize(key: PRNGKeyArray, shape: tuple[int, int], dtype: DTypeLike) -> Array:
        rows, columns = shape
        parts = [init(part, (rows, columns // 3), dtype) for part in jax.random.split(key, 3)]
        return jnp.concatenate(parts, axis=1)

    return initialize
