"""The discriminator of SRGAN."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.gan.parts import DiscriminatorHeads, DiscriminatorNorm, scaled
from ssljax.models.layers.spectral_norm import Conv, Dense

CHANNELS = (64, 128, 256, 512)
HIDDEN = 1024


class SRGANDiscriminator(nn.Module):
    """Eight 3x3 convolutions, of which every second one halves the side, and a hidden layer.

    Every convolution is followed by a LeakyReLU of slope 0.2, and every one but the first by a norm
    before it. The features are the hidden layer's, after the same LeakyReLU.

    Attributes:
      width: Factor on the channels and units of every hidden layer.
      norm: `"batch"`, `"layer"` or `"none"`, see `DiscriminatorNorm`.
      spectral_norm: Whether every layer has spectral norm.
      num_rotations: See `DiscriminatorHeads`, as for the options that follow.
      num_classes: Number of classes of the labels.
      conditional: None or `"projection"`.
      out_dim: Classes of a semi-supervised discriminator.
      dtype: Type of activations and arithmetic. Parameters, statistics, features and logits are
        always float32.

    Reference:
      Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
      Network (arXiv:1609.04802), 2017, figure 4.
    """

    width: float = 1.0
    norm: str = "batch"
    spectral_norm: bool = False
    num_rotations: int | None = None
    num_classes: int | None = None
    conditional: str | None = None
    out_dim: int | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        train: bool,
        labels: Int[Array, "batch"] | None = None,
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Judges images.

        Args:
          images: In [-1, 1].
          train: Whether norms use and update batch statistics.
          labels: Classes of the images; read by a projection discriminator alone.

        Returns:
          `block1` to `block4`: activations (batch, height, width, channels) of type `dtype`, after
          each halving; `features` (batch, dim), `logits` (batch,) and the other heads' outputs,
          float32.

        Raises:
          ValueError: If an option is unknown or options contradict each other.
        """
        x = images.astype(self.dtype)
        blocks = {}
        for stage, channels in enumerate(CHANNELS, start=1):
            for stride in (1, 2):
                normed = (stage, stride) != (1, 1)
                conv = Conv(
                    scaled(channels, self.width),
                    3,
                    stride,
                    use_bias=not normed or self.norm == "none",
                    spectral_norm=self.spectral_norm,
                    dtype=self.dtype,
                    name=f"conv{stage}_{stride}",
                )
                x = conv(x, train)
                if normed:
                    norm = DiscriminatorNorm(self.norm, self.dtype, name=f"norm{stage}_{stride}")
                    x = norm(x, train)
                x = nn.leaky_relu(x, 0.2)
            blocks[f"block{stage}"] = x
        hidden = Dense(
            scaled(HIDDEN, self.width),
            spectral_norm=self.spectral_norm,
            dtype=self.dtype,
            name="hidden",
        )
        features = nn.leaky_relu(hidden(x.reshape(x.shape[0], -1), train), 0.2)
        heads = DiscriminatorHeads(
            self.num_rotations,
            self.num_classes,
            self.conditional,
            self.out_dim,
            self.spectral_norm,
            name="heads",
        )
        return blocks | heads(features.astype(jnp.float32), train, labels)
