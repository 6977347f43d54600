"""An encoder that classifies: for fine-tuning, and for the student of a distillation."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num

from ssljax.models.heads.projection import ProjectionHead


class Classifier(nn.Module):
    """An encoder, the first layers of a projection head, and a linear classifier that starts at 0.

    Its parameters have the names that they have in an `EncoderWithHeads`, "encoder" and
    "projector", so that those of a pretrained network fit; "classifier" is new.

    Attributes:
      encoder: Network with named outputs, "features" among them.
      num_classes: Number of logits.
      head_layers: Hidden layers of the projection head that lie between the two; 0 for none.
      head_dim: Their width; `None` for that of the features.
      dtype: Type of the head's arithmetic; logits are always float32.
      encode: `encode(encoder, images)` gives the encoder's outputs for whole images where the
        encoder is not given the images themselves; None where it is.
      trains_encoder: Whether gradients reach the encoder and, in training, its norms use batch
        statistics and values are dropped in it.

    Reference:
      Chen et al., SimCLR v2 (arXiv:2006.10029), 2020, section 2: with one layer of the head, the
      encoder is fine-tuned from the first layer of the projection head.
    """

    encoder: nn.Module
    num_classes: int
    head_layers: int = 0
    head_dim: int | None = None
    dtype: DTypeLike = jnp.float32
    encode: Callable[[Callable[[Array], dict[str, Array]], Array], dict[str, Array]] | None = None
    trains_encoder: bool = True

    @nn.compact
    def __call__(
        self, images: Num[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the encoder's outputs and the classes.

        Args:
          images: Normalised images, or what `encode` takes.
          train: Whether norms use and update batch statistics.

        Returns:
          The encoder's outputs by name; "projector1", ... for each layer of the head; "logits".
        """
        learns = train and self.trains_encoder
        if self.encode is None:
            outputs = dict(self.encoder(images, learns))
        else:
            outputs = dict(self.encode(lambda x: self.encoder(x, learns), images))
        if not self.trains_encoder:
            outputs = jax.lax.stop_gradient(outputs)
        x = outputs["features"]
        if self.head_layers:
            # A head's last layer has no ReLU; here it is one of its hidden ones.
            width = self.head_dim or x.shape[-1]
            head = ProjectionHead(
                num_layers=self.head_layers,
                hidden_dim=width,
                out_dim=width,
                last_bn_affine="full",
                dtype=self.dtype,
                name="projector",
            )
            *hidden, last = head(x, train)
            layers = [*hidden, nn.relu(last)]
            outputs |= {f"projector{i}": layer for i, layer in enumerate(layers, start=1)}
            x = layers[-1]
        linear = nn.Dense(self.num_classes, kernel_init=nn.initializers.zeros, name="classifier")
        return outputs | {"logits": linear(x.astype(jnp.float32))}
