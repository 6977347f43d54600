"""The masked autoencoder: an encoder that sees few patches, a decoder that predicts the others."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ssljax.models.encoders.vit import VisionTransformer
from ssljax.models.layers.patches import patch_grid, take_tokens
from ssljax.models.layers.positions import sincos_positions
from ssljax.models.layers.transformer import XAVIER, TransformerBlock, layer_norm


class Masking(NamedTuple):
    """Which patches of each example are visible.

    Attributes:
      visible: Indices of the visible patches, in random order.
      restore: Place of each patch in the shuffled sequence, whose first patches are the visible.
      mask: True where a patch is hidden.
    """

    visible: Int[Array, "batch seen"]
    restore: Int[Array, "batch patches"]
    mask: Bool[Array, "batch patches"]


def random_masking(key: PRNGKeyArray, batch: int, patches: int, mask_ratio: float) -> Masking:
    """Hides patches at random, the same number in every example.

    The patches are shuffled by the order of random numbers. Those of example i depend on `key`
    and i alone, not on the size of the batch or its layout over devices.

    Args:
      key: Random key.
      batch: Number of examples in the global batch.
      patches: Number of patches of an example.
      mask_ratio: Share of patches to hide, in (0, 1); as in the authors' code, the number of those
        that stay is rounded down.

    Returns:
      The masking.

    Raises:
      ValueError: If all patches or none would be hidden.

    Reference:
      He et al., MAE (arXiv:2111.06377), 2021, section 3.
    """
    seen = int(patches * (1.0 - mask_ratio))
    if not 0 < seen < patches:
        raise ValueError(
            f"A mask ratio of {mask_ratio} leaves {seen} of {patches} patches visible; "
            "at least one must be visible and one hidden."
        )

    def shuffle(example: Int[Array, ""]) -> Int[Array, " patches"]:
        return jnp.argsort(jax.random.uniform(jax.random.fold_in(key, example), (patches,)))

    order = jax.vmap(shuffle)(jnp.arange(batch))
    restore = jnp.argsort(order, axis=1)
    return Masking(order[:, :seen], restore, restore >= seen)


class MaskedDecoder(nn.Module):
    """A transformer that predicts the pixels of every patch from the tokens of some.

    Attributes:
      values: Number of values of a patch.
      dim: Channels of the tokens, a multiple of 4.
      depth: Number of blocks.
      heads: Number of attention heads.
      dtype: Type of the arithmetic.
    """

    values: int
    dim: int
    depth: int
    heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        class_token: Float[Array, "batch encoder_dim"] | None,
        tokens: Float[Array, "batch seen encoder_dim"],
        restore: Int[Array, "batch patches"],
        grid: tuple[int, int],
        train: bool,
    ) -> Float[Array, "batch patches values"]:
        """Predicts every patch.

        Args:
          class_token: The encoder's class token, if it has one.
          tokens: The encoder's tokens of the visible patches.
          restore: Place of each patch in the shuffled sequence, the visible first.
          grid: Rows and columns of patches.
          train: Passed on to the blocks.

        Returns:
          The predictions, row by row of the image, in float32.
        """
        before = [] if class_token is None else [class_token[:, None]]
        latent = jnp.concatenate([*before, tokens], axis=1)
        latent = nn.Dense(self.dim, kernel_init=XAVIER, dtype=self.dtype, name="embedding")(latent)
        first, known = jnp.split(latent, [len(before)], axis=1)
        mask_token = self.param(
            "mask_token", nn.initializers.normal(0.02), (1, 1, self.dim), jnp.float32
        )
        batch, seen, _ = known.shape
        unknown = jnp.broadcast_to(mask_token.astype(self.dtype), (batch, 1, self.dim))
        # One mask token stands for all: every hidden patch points to it.
        x = take_tokens(
            jnp.concatenate([known, unknown], axis=1), jnp.minimum(restore, jnp.int32(seen))
        )
        positions = sincos_positions(*grid, self.dim).reshape(1, -1, self.dim)
        x = jnp.concatenate([first, x + positions.astype(self.dtype)], axis=1)
        for index in range(1, self.depth + 1):
            block = TransformerBlock(self.heads, dtype=self.dtype, name=f"block{index}")
            x, _ = block(x, train)
        x = layer_norm(x[:, len(before) :], self.dtype, "norm")
        predict = nn.Dense(self.values, kernel_init=XAVIER, dtype=self.dtype, name="prediction")
        return predict(x).astype(jnp.float32)


class MaskedAutoencoder(nn.Module):
    """A vision transformer on the visible patches, and a decoder for all of them.

    The parameters under `encoder` are those of the vision transformer: for an evaluation,
    `encoder.apply({"params": params["encoder"]}, images, train=False)` sees all patches. The
    paper's encoder has `positions="sincos"` and `initializer="xavier"`.

    Attributes:
      encoder: The vision transformer.
      mask_ratio: Share of patches that are hidden, in (0, 1).
      decoder_dim: Channels of the decoder's tokens, a multiple of 4.
      decoder_depth: Number of the decoder's blocks.
      decoder_heads: Number of the decoder's attention heads.

    Reference:
      He et al., Masked Autoencoders Are Scalable Vision Learners (arXiv:2111.06377), 2021, section
      3; decoder as in section 4.1.
    """

    encoder: VisionTransformer
    mask_ratio: float = 0.75
    decoder_dim: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        key: PRNGKeyArray,
        train: bool,
    ) -> dict[str, Array]:
        """Hides patches and predicts the pixels of all.

        Args:
          images: Normalised images; their sides are multiples of the encoder's patch size.
          key: Random key of the masking.
          train: Whether the encoder drops paths.

        Returns:
          `prediction`: (batch, patches, values) in float32, in the order of `patchify`;
          `mask`: (batch, patches), True where a patch was hidden; `features`: (batch, dim), the
          encoder's from the visible patches alone.

        Raises:
          ValueError: If the patches do not fill the image, or all or none would be hidden.
        """
        patch_size, (batch, _, _, channels) = self.encoder.patch_size, images.shape
        grid = patch_grid(images.shape, patch_size)
        masking = random_masking(key, batch, grid[0] * grid[1], self.mask_ratio)
        encoded = self.encoder(images, train, visible=masking.visible)
        decoder = MaskedDecoder(
            values=patch_size * patch_size * channels,
            dim=self.decoder_dim,
            depth=self.decoder_depth,
            heads=self.decoder_heads,
            dtype=self.encoder.dtype,
            name="decoder",
        )
        prediction = decoder(
            encoded.get("class_token"), encoded["tokens"], masking.restore, grid, train
        )
        return {
            "prediction": prediction,
            "mask": masking.mask,
            "features": encoded["features"],
        }
