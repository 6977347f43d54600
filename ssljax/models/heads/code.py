"""Encoders that give the code from which a generator makes their image again."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.residual_mlp import ResidualMLP
from ssljax.models.layers.spectral_norm import DCGAN_INIT, Dense
from ssljax.models.maps import map_names


class InferenceEncoder(nn.Module):
    """BiGAN's encoder: any encoder, and a linear layer without bias that gives the code.

    Attributes:
      encoder: Network with named outputs.
      dim: Dimension of the code.
      squash: Whether the code is brought to (-1, 1), where the generator's uniform inputs lie.
      centered: Whether a batch norm without parameters stands before that layer, which the authors
        do not have. After ReLUs all features are positive: with few steps at a high rate the layer
        moves all codes alike, until they saturate.

    Reference:
      Donahue et al., Adversarial Feature Learning, 2017; `UniformDistribution` in `dist.py` of the
      authors' code.
    """

    encoder: nn.Module
    dim: int
    squash: bool = True
    centered: bool = False

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        train: bool,
        labels: Int[Array, "batch"] | None = None,
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Encodes images.

        Args:
          images: As the encoder takes them.
          train: Whether norms use and update batch statistics.
          labels: Ignored.

        Returns:
          The encoder's outputs by name, of which `features` is what the code is a linear image of:
          the last map, flattened, or the encoder's own where it has no maps; `linear` (batch, dim),
          which the authors probe as the encoder's output; `code`, 2 sigmoid(`linear`) - 1 where it
          is squashed.
        """
        outputs = dict(self.encoder(images, train))
        if names := map_names(outputs):
            last = outputs[names[-1]]
            outputs["features"] = last.reshape(last.shape[0], -1).astype(jnp.float32)
        hidden = outputs["features"]
        if self.centered:
            norm = BatchNorm(use_scale=False, use_bias=False, name="code_norm")
            hidden = norm(hidden, train)
        layer = Dense(self.dim, use_bias=False, kernel_init=DCGAN_INIT, name="code")
        linear = layer(hidden, train)
        code = jnp.tanh(linear / 2.0) if self.squash else linear
        return outputs | {"linear": linear, "code": code}


class GaussianEncoder(nn.Module):
    """BigBiGAN's encoder: any encoder, a perceptron with shortcuts, and a Gaussian of codes.

    Attributes:
      encoder: Network with named outputs, "features" among them.
      dim: Dimension of the code.
      head_dim: Units of the perceptron's layers.
      head_blocks: Its blocks, of two layers each.

    Reference:
      Donahue and Simonyan, Large Scale Adversarial Representation Learning, 2019, section 3, for
      the deviations. Four layers of 4096 units are from memory; so is that the convolutional part
      is a ResNet-50 with pre-activations, where any encoder is taken here.
    """

    encoder: nn.Module
    dim: int
    head_dim: int = 4096
    head_blocks: int = 2

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width channels"],
        train: bool,
        labels: Int[Array, "batch"] | None = None,
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Encodes images.

        Args:
          images: As the encoder takes them.
          train: Whether norms use and update batch statistics.
          labels: Ignored.

        Returns:
          The encoder's outputs by name, `features` among them, which are averages over places;
          `crelu` (batch, 2 * features), the positive and the negative part of them after a batch
          norm without parameters, by which no loss goes; `code` (batch, dim), the mean, and
          `deviation` (batch, dim), softplus of a linear layer, above 0.
        """
        outputs = dict(self.encoder(images, train))
        features = outputs["features"]
        norm = BatchNorm(use_scale=False, use_bias=False, name="crelu_norm")
        normed = norm(jax.lax.stop_gradient(features), train)
        outputs["crelu"] = jnp.concatenate([nn.relu(normed), nn.relu(-normed)], axis=1)
        hidden = ResidualMLP(self.head_dim, self.head_blocks, name="head")(features, train)
        init = nn.initializers.lecun_normal()
        mean = Dense(self.dim, kernel_init=init, name="mean")(hidden, train)
        raw = Dense(self.dim, kernel_init=init, name="deviation")(hidden, train)
        return outputs | {"code": mean, "deviation": jax.nn.softplus(raw)}
