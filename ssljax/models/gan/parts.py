"""What the generators and discriminators share: their norms and the discriminators' heads."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ssljax.models.layers.conditional_norm import ConditionalBatchNorm, SelfModulatedBatchNorm
from ssljax.models.layers.norm import BatchNorm
from ssljax.models.layers.spectral_norm import DCGAN_INIT, Dense, Embed

GENERATOR_NORMS = ("batch", "conditional", "self_modulated")
DISCRIMINATOR_NORMS = ("batch", "layer", "none")


class GeneratorNorm(nn.Module):
    """The norm of a generator, by name.

    Attributes:
      kind: `"batch"`; `"conditional"`: batch norm with a scale and bias for each class;
        `"self_modulated"`: with those that a small network computes from the latent vector.
      num_classes: Number of classes, for the conditional norm.
      spectral_norm: Whether the self-modulation's layers have spectral norm.
      dtype: Type of the output.
    """

    kind: str
    num_classes: int | None
    spectral_norm: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch *spatial channels"],
        train: bool,
        latents: Float[Array, "batch latent_dim"],
        labels: Int[Array, "batch"] | None,
    ) -> Float[Array, "batch *spatial channels"]:
        """Normalises each channel.

        Raises:
          ValueError: If the kind is unknown, or the norm is conditional and there are no labels.
        """
        _check_norm(self.kind, GENERATOR_NORMS)
        if self.kind == "batch":
            return BatchNorm(dtype=self.dtype, name="batch")(x, train)
        if self.kind == "self_modulated":
            norm = SelfModulatedBatchNorm(
                spectral_norm=self.spectral_norm, dtype=self.dtype, name="self_modulated"
            )
            return norm(x, train, latents)
        if self.num_classes is None or labels is None:
            raise ValueError("A generator with norm='conditional' needs num_classes and labels.")
        return ConditionalBatchNorm(self.num_classes, dtype=self.dtype, name="conditional")(
            x, train, labels
        )


class DiscriminatorNorm(nn.Module):
    """The norm of a discriminator, by name.

    Attributes:
      kind: `"batch"`; `"layer"`: over all channels and positions of an example; `"none"`.
      dtype: Type of the output.
    """

    kind: str
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *spatial channels"], train: bool
    ) -> Float[Array, "batch *spatial channels"]:
        """Normalises each channel, or all of them.

        Raises:
          ValueError: If the kind is unknown.
        """
        _check_norm(self.kind, DISCRIMINATOR_NORMS)
        if self.kind == "none":
            return x
        if self.kind == "batch":
            return BatchNorm(dtype=self.dtype, name="batch")(x, train)
        axes = tuple(range(1, x.ndim))
        norm = nn.LayerNorm(
            epsilon=1e-5,
            reduction_axes=axes,
            feature_axes=-1,
            use_fast_variance=False,
            dtype=jnp.float32,
            name="layer",
        )
        return norm(x.astype(jnp.float32)).astype(self.dtype)


class DiscriminatorHeads(nn.Module):
    """What a discriminator computes from its features.

    Attributes:
      num_rotations: Rotations that a linear head tells apart; None for no such head.
      num_classes: Number of classes of the labels, for a conditional discriminator.
      conditional: None, or `"projection"`: the logit gains the features' inner product with a
        learned vector of the label.
      out_dim: Classes of a semi-supervised discriminator: the logit is the log of the sum of
        their exponentials, Z, so that its sigmoid is Z / (Z + 1); None for a logit of its own.
      spectral_norm: Whether the heads have spectral norm.
      kernel_init: Initialiser of the heads.

    Reference:
      Projection: Miyato & Koyama, cGANs with Projection Discriminator (arXiv:1802.05637), 2018,
      section 3. Rotations: Chen et al., Self-Supervised GANs (arXiv:1811.11212), 2018. Classes:
      Salimans et al., Improved Techniques for Training GANs (arXiv:1606.03498), 2016, section 5.
    """

    num_rotations: int | None
    num_classes: int | None
    conditional: str | None
    out_dim: int | None
    spectral_norm: bool
    kernel_init: nn.initializers.Initializer = DCGAN_INIT

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "batch dim"],
        train: bool,
        labels: Int[Array, "batch"] | None,
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the heads in float32.

        Args:
          features: Float32.
          train: Whether the vectors of the spectral norms are updated.
          labels: Of a projection discriminator. In evaluation they may be left out: the logits
            are then those without the label's term.

        Returns:
          `features` as given, `logits` (batch,), and where asked for `rotation` (batch,
          num_rotations) and `class_logits` (batch, out_dim).

        Raises:
          ValueError: If the options contradict each other, or labels are missing in training.
        """
        self._check(train, labels)

        def linear(dim: int, name: str) -> Float[Array, "batch out"]:
            layer = Dense(
                dim, spectral_norm=self.spectral_norm, kernel_init=self.kernel_init, name=name
            )
            return layer(features, train)

        outputs = {"features": features}
        if self.out_dim is None:
            logits = linear(1, "logit")[:, 0]
        else:
            outputs["class_logits"] = linear(self.out_dim, "class_logits")
            logits = jax.nn.logsumexp(outputs["class_logits"], axis=-1)
        if self.num_rotations is not None:
            outputs["rotation"] = linear(self.num_rotations, "rotation")
        if self.conditional is not None and self.num_classes is not None:
            embed = Embed(
                self.num_classes,
                features.shape[-1],
                spectral_norm=self.spectral_norm,
                kernel_init=self.kernel_init,
                name="embed",
            )
            # Without labels the embedding is still made, so that its parameters are.
            classes = jnp.zeros(features.shape[:1], jnp.int32) if labels is None else labels
            product = jnp.sum(embed(classes, train) * features, axis=-1)
            logits = logits if labels is None else logits + product
        return outputs | {"logits": logits}

    def _check(self, train: bool, labels: Int[Array, "batch"] | None) -> None:
        if self.conditional not in (None, "projection"):
            raise ValueError(
                f"conditional is {self.conditional!r}; it must be None or 'projection'."
            )
        if self.conditional is None:
            return
        if self.num_classes is None or self.out_dim is not None:
            raise ValueError("A projection discriminator needs num_classes and takes no out_dim.")
        if train and labels is None and not self.is_initializing():
            raise ValueError("A projection discriminator needs labels in training.")


def scaled(channels: int, width: float) -> int:
    """Multiplies a published number of channels by the width of a thinner or wider network."""
    return max(1, round(channels * width))


def _check_norm(kind: str, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise ValueError(f"The norm is {kind!r}; it must be one of {', '.join(kinds)}.")
