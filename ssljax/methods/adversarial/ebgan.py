"""EBGAN: the discriminator is an autoencoder, and an image's reconstruction error its energy.

Zhao et al., Energy-based Generative Adversarial Network, 2017.
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import losses, metrics, models
from ssljax.methods.adversarial.game import Adversarial
from ssljax.methods.contract import Aux, Task, Turn

PyTree = Any


class EBGAN(Adversarial):
    """Low energy for real images, and for generated ones an energy of at least the margin.

    With `pulling_away` above 0 it is EBGAN-PT: the codes of generated images are driven apart, by
    the generator's loss alone.
    """

    roles: ClassVar = {
        "generator": models.GENERATOR,
        "discriminator": models.DISCRIMINATOR.with_options(name="autoencoder"),
    }

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for MNIST, with its convolutional networks."""
        config = Adversarial.default_config()
        config.margin = 10.0
        config.pulling_away = 0.0  # 0.1 for EBGAN-PT.
        config.update(latent_dim=100, prior="uniform")
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        self.margin, self.pulling_away = config.method.margin, config.method.pulling_away

    def discriminator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Reconstructs real images, and generated ones badly."""
        frozen = self.networks.weights(turn.state, "generator")
        fake, _, _ = self.sample_fakes(*frozen, turn.views, turn.key)
        own = turn.state.variables["discriminator"]
        real_outputs, variables = self.discriminate(
            params, own, turn.views["image"], update_spectral=True
        )
        fake_outputs, _ = self.discriminate(params, own | variables, fake)
        real_energy = losses.reconstruction_energy(
            turn.views["image"], real_outputs["reconstruction"]
        )
        fake_energy = losses.reconstruction_energy(fake, fake_outputs["reconstruction"])
        return losses.ebgan_discriminator(real_energy, fake_energy, self.margin), Aux(
            variables=variables,
            metrics={
                "energy_real": jnp.mean(real_energy),
                "energy_fake": jnp.mean(fake_energy),
                "collapsed": metrics.generator_collapsed(fake, turn.views["image"]),
            },
            carry={"features": real_outputs["features"]},
        )

    def generator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Lowers the energy of generated images."""
        own = turn.state.variables["generator"]
        fake, _, variables = self.sample_fakes(
            params, own, turn.views, turn.key, self.generator_batch, update_spectral=True
        )
        frozen = self.networks.weights(turn.state, "discriminator")
        outputs, _ = self.discriminate(*frozen, fake)
        energy = losses.reconstruction_energy(fake, outputs["reconstruction"])
        similarity = losses.pulling_away(outputs["code"])
        loss = losses.ebgan_generator(energy) + self.pulling_away * similarity
        return loss, Aux(variables=variables, metrics={"pulling_away": similarity})
