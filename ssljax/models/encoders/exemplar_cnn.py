"""The network of Exemplar-CNN: three convolutions and a fully connected layer."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.padded import check_image_fits


class ExemplarCNN(nn.Module):
    """92c5-256c5-512c5-1024f: its features are those of the fully connected layer.

    Each layer is followed by a ReLU, the first two by 3x3 max-pools of stride 2 as well, the last
    by dropout. There is no norm. The fully connected layer sees all places of the last map, so that
    the images of a run have one size.

    Attributes:
      widths: Channels of the convolutions.
      features: Units of the fully connected layer.
      dropout: Share of them that is dropped in training.
      dtype: Type of activations and arithmetic. Parameters and `features` are always float32.

    Reference:
      Dosovitskiy et al., Discriminative Unsupervised Feature Learning with Exemplar Convolutional
      Neural Networks (arXiv:1406.6909), 2015; pools and dropout as in EricArazo/ExemplarCNN.
    """

    widths: tuple[int, ...] = (92, 256, 512)
    features: int = 1024
    dropout: float = 0.5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the features of each layer.

        Args:
          x: Images, already normalised.
          train: Whether features are dropped, by the random stream "dropout".

        Returns:
          `stage1`, `stage2` ...: what the convolutions give, (batch, height, width, channels);
          `features`: (batch, features) in float32.

        Raises:
          ValueError: If the images are too small.
        """
        pools = len(self.widths) - 1
        check_image_fits(x.shape, 2 ** (pools + 1) - 1, "enlarge them or give fewer widths")
        init = nn.initializers.he_normal()
        outputs = {}
        x = x.astype(self.dtype)
        for stage, width in enumerate(self.widths, start=1):
            if stage > 1:
                x = nn.max_pool(x, (3, 3), strides=(2, 2))
            x = nn.Conv(width, (5, 5), kernel_init=init, dtype=self.dtype, name=f"conv{stage}")(x)
            x = nn.relu(x)
            outputs[f"stage{stage}"] = x
        x = nn.Dense(self.features, kernel_init=init, dtype=self.dtype, name="dense")(
            x.reshape(x.shape[0], -1)
        )
        x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(x))
        return outputs | {"features": x.astype(jnp.float32)}
