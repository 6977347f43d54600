"""SSGAN: besides the game, both players learn by how much an image is rotated.

Chen et al., Self-Supervised GANs via Auxiliary Rotation Loss, 2019.
"""

from __future__ import annotations

from typing import Any, ClassVar

from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import losses, metrics, models
from ssljax.methods.adversarial.game import Adversarial
from ssljax.methods.contract import Aux, Task, Turn

PyTree = Any


class SSGAN(Adversarial):
    """The game is on upright images; on rotations the players cooperate.

    The discriminator learns rotations of real images alone, and the generator makes images whose
    rotation it can tell. A quarter of the images is rotated; they pass through the discriminator
    in one call with the upright ones, which the two losses share.
    """

    roles: ClassVar = {
        "generator": models.GENERATOR.with_options(name="sngan", norm="self_modulated"),
        "discriminator": models.DISCRIMINATOR.with_options(
            name="sngan", norm="none", spectral_norm=True
        ),
    }

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values."""
        config = Adversarial.default_config()
        config.loss = "hinge"
        config.gan_weight = 1.0  # 0 leaves the rotations only, for comparison.
        config.rotation_weight_real = 1.0  # Beta, in the discriminator's loss.
        config.rotation_weight_fake = 0.2  # Alpha, in the generator's.
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        super().__init__(config, task, method.loss, num_rotations=4)
        self.gan_weight = method.gan_weight
        self.beta, self.alpha = method.rotation_weight_real, method.rotation_weight_fake

    def discriminator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The game on upright images, and the rotations of the real ones."""
        frozen = self.networks.weights(turn.state, "generator")
        fake, _, _ = self.sample_fakes(*frozen, turn.views, turn.key)
        own = turn.state.variables["discriminator"]
        images = losses.with_rotations(turn.views["image"])
        real_outputs, variables = self.discriminate(params, own, images, update_spectral=True)
        fake_outputs, _ = self.discriminate(params, own | variables, losses.with_rotations(fake))
        logits = (
            losses.upright_only(real_outputs["logits"]),
            losses.upright_only(fake_outputs["logits"]),
        )
        rotation = losses.rotation_loss(losses.in_four_orientations(real_outputs["rotation"]))
        loss = self.gan_weight * self.game.discriminator(*logits) + self.beta * rotation
        return loss, Aux(
            variables=variables,
            metrics={
                "rotation_loss": rotation,
                "collapsed": metrics.generator_collapsed(fake, turn.views["image"]),
            }
            | self.scores(*logits),
            carry={"features": losses.upright_only(real_outputs["features"])},
        )

    def generator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The game on upright images, and the rotations of the generated ones."""
        own = turn.state.variables["generator"]
        fake, _, variables = self.sample_fakes(
            params, own, turn.views, turn.key, self.generator_batch, update_spectral=True
        )
        frozen = self.networks.weights(turn.state, "discriminator")
        outputs, _ = self.discriminate(*frozen, losses.with_rotations(fake))
        rotation = losses.rotation_loss(losses.in_four_orientations(outputs["rotation"]))
        game = self.game.generator(losses.upright_only(outputs["logits"]))
        return self.gan_weight * game + self.alpha * rotation, Aux(
            variables=variables, metrics={"rotation_loss": rotation}
        )
