"""A transformer of which patches may be hidden, with heads on its class token and its patches."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ssljax.models.encoders.vit import VisionTransformer


class MaskedEncoderWithHeads(nn.Module):
    """A vision transformer, a token for hidden patches, and heads: what iBOT and DINOv2 train.

    Attributes:
      encoder: The transformer.
      projector: Head on the features.
      patch_projector: Head on the patches' tokens; None for the same one.

    Reference:
      Zhou et al., iBOT: Image BERT Pre-Training with Online Tokenizer (arXiv:2111.07832), 2022,
      section 3.
    """

    encoder: VisionTransformer
    projector: nn.Module
    patch_projector: nn.Module | None = None

    def setup(self) -> None:
        """Makes the token that stands for hidden patches."""
        self.mask_token = self.param(
            "mask_token", nn.initializers.zeros, (self.encoder.dim,), jnp.float32
        )

    def __call__(
        self, images: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the encoder's outputs on whole images, and the projector's on top of them.

        Args:
          images: Normalised images.
          train: Whether paths are dropped.

        Returns:
          The encoder's outputs by name; "projector1", "projector2", ... for each layer of the
          projector, of which the last are logits.
        """
        outputs = dict(self.encoder(images, train))
        layers = self.projector(outputs["features"], train)
        if self.patch_projector is not None and self.is_initializing():
            self.patch_projector(outputs["features"], train)
        return outputs | {f"projector{i}": layer for i, layer in enumerate(layers, start=1)}

    def encode(
        self,
        images: Float[Array, "batch height width channels"],
        train: bool,
        mask: Bool[Array, "batch patches"] | None = None,
    ) -> tuple[Float[Array, "batch dim"], Float[Array, "batch patches dim"]]:
        """Computes features and the patches' tokens of images with some patches hidden.

        Args:
          images: Normalised images.
          train: Whether paths are dropped.
          mask: True where a patch is hidden; None: nothing is.

        Returns:
          Features and tokens.
        """
        masked = None if mask is None else (mask, self.mask_token)
        outputs = self.encoder(images, train, masked=masked)
        tokens = outputs["tokens"]
        return outputs["features"], tokens.reshape(len(tokens), -1, tokens.shape[-1])

    def project(
        self, rows: Float[Array, "*rows dim"], train: bool, patches: bool = False
    ) -> tuple[Float[Array, "*rows bottleneck"], Float[Array, "*rows out"]]:
        """Applies a head to rows of any number of axes.

        Args:
          rows: Features, or tokens of patches.
          train: Passed on to the head.
          patches: Whether the rows are patches.

        Returns:
          The head's bottleneck and its logits.
        """
        head = self.patch_projector if patches and self.patch_projector else self.projector
        layers = head(rows.reshape(-1, rows.shape[-1]), train)
        bottleneck, logits = (layer.reshape(*rows.shape[:-1], -1) for layer in layers[-2:])
        return bottleneck, logits
