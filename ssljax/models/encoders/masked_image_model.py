"""SimMIM's network: a transformer with a token in each hidden patch's place, and a linear head."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ssljax.models.encoders.vit import VisionTransformer
from ssljax.models.layers.patches import patchify


class MaskedImageModel(nn.Module):
    """A vision transformer on all patches, the hidden ones replaced, and a linear head.

    The parameters under `encoder` are those of the vision transformer: an evaluation applies it
    alone, to images of which nothing is hidden.

    Attributes:
      encoder: The vision transformer.

    Reference:
      Xie et al., SimMIM: a Simple Framework for Masked Image Modeling (arXiv:2111.09886), 2022,
      section 3; the head is the 1x1 convolution with pixel shuffle of its code, in other words.
    """

    encoder: VisionTransformer

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        mask: Bool[Array, "batch patches"],
        train: bool,
    ) -> dict[str, Array]:
        """Predicts the pixels of every patch.

        Args:
          images: Normalised images; their sides are multiples of the encoder's patch size.
          mask: True where a patch is hidden.
          train: Whether the encoder drops paths.

        Returns:
          `prediction`: (batch, patches, values) in float32, in the order of `patchify`, and
          `features`: (batch, dim), the encoder's.
        """
        token = self.param(
            "mask_token", nn.initializers.truncated_normal(0.02), (self.encoder.dim,), jnp.float32
        )
        encoded = self.encoder(images, train, masked=(mask, token))
        patches = patchify(images, self.encoder.patch_size)
        predict = nn.Dense(patches.shape[-1], dtype=self.encoder.dtype, name="prediction")
        prediction = predict(encoded["tokens"].reshape(*patches.shape[:2], -1))
        return {
            "prediction": prediction.astype(jnp.float32),
            "features": encoded["features"],
        }
