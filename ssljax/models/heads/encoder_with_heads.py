"""An encoder with its heads, as the joint-embedding methods use it."""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float


class EncoderWithHeads(nn.Module):
    """Encoder, projector and, where a method has one, predictor.

    Attributes:
      encoder: Network with named outputs, "features" among them.
      projector: Head on the features.
      predictor: Head on the projection, or None.
    """

    encoder: nn.Module
    projector: nn.Module
    predictor: nn.Module | None = None

    def __call__(
        self, images: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the encoder's outputs and the heads' on top of them.

        Args:
          images: Normalised images.
          train: Whether norms use and update batch statistics.

        Returns:
          The encoder's outputs by name; "projector1", "projector2", ... for each layer of the
          projector; "projection", its last layer; "prediction", if there is a predictor.
        """
        outputs = dict(self.encoder(images, train))
        layers = self.projector(outputs["features"], train)
        outputs |= {f"projector{i}": layer for i, layer in enumerate(layers, start=1)}
        outputs["projection"] = layers[-1]
        if self.predictor is not None:
            outputs["prediction"] = self.predictor(layers[-1], train)[-1]
        return outputs
