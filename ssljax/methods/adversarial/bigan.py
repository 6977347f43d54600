"""BiGAN: a generator learns with its inverse, by a discriminator of images with their codes.

Donahue et al., Adversarial Feature Learning, 2017.
"""

from __future__ import annotations

from typing import Any, ClassVar

import flax.linen as nn
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import losses, metrics, models
from ssljax.methods.adversarial.inference import Inference, plain_view
from ssljax.methods.contract import Aux, Task, Turn

PyTree = Any


class BiGAN(Inference):
    """Encoder and generator minimise the discriminator's loss with flipped labels, on both pairs.

    As in the authors' code both players are updated by one pass over the same pairs: the
    discriminator judges those that generator and encoder made before their update, which comes
    first in the step, by the discriminator before its own.
    """

    roles: ClassVar = {
        "generator": models.GENERATOR.with_options(name="bigan_mlp"),
        "encoder": models.ENCODER.with_options(name="mlp"),
        "discriminator": models.JOINT_DISCRIMINATOR.with_options(name="bigan_mlp"),
    }

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for MNIST, with perceptrons that know nothing of places."""
        config = Inference.default_config()
        del config.discriminator_steps, config.generator_batch  # Both see the same pairs.
        del config.ema_decay  # Nothing is averaged.
        config.update(latent_dim=50, prior="uniform")
        config.center_features = False  # Whether a batch norm stands before the encoder's code.
        config.image_size = 0  # Of the generator's images; 0: of the view's.
        config.view = plain_view(28)
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        discriminator, generator = self.players
        self.players = (generator, discriminator)

    def with_code(self, encoder: nn.Module, config: ConfigDict) -> nn.Module:
        """One linear layer; codes lie in (-1, 1) where those of the generator do."""
        uniform = config.method.prior == "uniform"
        return models.InferenceEncoder(
            encoder, self.latent_dim, squash=uniform, centered=config.method.center_features
        )

    def generator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Makes pairs that the discriminator takes for one another; it judges them next."""
        own = turn.state.variables["generator"]
        weights = {role: (params[role], own[role]) for role in self.owned["generator"]}
        pairs = self.pairs(weights, turn.views, turn.key, update_spectral=True)
        frozen = self.networks.weights(turn.state, "discriminator")
        real, fake = (
            self.networks.run("discriminator", frozen, pair)[0]["logits"]
            for pair in (pairs.real, pairs.fake)
        )
        return losses.bigan_encoder_generator(real, fake), Aux(
            variables=pairs.variables,
            metrics={"collapsed": metrics.generator_collapsed(pairs.fake[0], pairs.real[0])},
            carry={"real": pairs.real, "fake": pairs.fake, "features": pairs.features},
        )

    def discriminator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Tells the pairs apart that the other player has made of this batch."""
        own = turn.state.variables["discriminator"]
        real, variables = self.networks.run(
            "discriminator", (params, own), turn.carried["real"], update_spectral=True
        )
        fake, _ = self.networks.run(
            "discriminator", (params, own | variables), turn.carried["fake"]
        )
        logits = real["logits"], fake["logits"]
        return losses.bigan_discriminator(*logits), Aux(
            variables=variables, metrics=self.scores(*logits)
        )
