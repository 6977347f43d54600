"""BigBiGAN: BigGAN with an encoder, whose discriminator scores images and codes alone as well.

Donahue and Simonyan, Large Scale Adversarial Representation Learning, 2019.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import optax
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, metrics, models
from ssljax.methods.adversarial.game import Outputs, keys_beside
from ssljax.methods.adversarial.inference import Codes, Inference, plain_view
from ssljax.methods.contract import Aux, Task, Turn

PyTree = Any
SCORES = ("image", "code", "both")


class BigBiGAN(Inference):
    """The discriminator's hinge is on each of its three scores; the others learn by their sum.

    The encoder gives a Gaussian of codes, from which one is drawn for each image in training;
    evaluations take its mean, and `crelu` is a stage that they may probe. Moving averages of
    generator and encoder are evaluated: that the encoder's is averaged is an assumption.
    """

    roles: ClassVar = {
        "generator": models.GENERATOR.with_options(name="biggan"),
        "encoder": models.ENCODER.with_options(name="resnet50", stem="imagenet"),
        "discriminator": models.JOINT_DISCRIMINATOR.with_options(name="bigbigan"),
    }
    evaluated = "averaged encoder"

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet.

        From memory are the two updates of the discriminator, the decay of the moving average, the
        units of the layers before the code, and the factor on the encoder's rate.
        """
        config = Inference.default_config()
        del config.generator_batch
        config.update(latent_dim=120, discriminator_steps=2, ema_decay=0.9999)
        config.image_size = 128  # Of the generator's images; 0: of the view's.
        # ResNet's views, in [-1, 1].
        config.view = plain_view(
            256,
            crop_scale=(0.08, 1.0),
            flip_p=0.5,
            interpolation="bicubic",
            mean=(0.5,),
            std=(0.5,),
        )
        config.head_dim = 4096  # Units of the layers between the encoder and its code.
        config.encoder_rate = 10.0  # Factor on the encoder's learning rate.
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        self.averages["encoder"] = config.method.ema_decay
        discriminator, generator = self.players
        if not (rate := config.method.encoder_rate) > 0.0:
            raise ValueError(
                f"method.encoder_rate is {rate}; it is a factor on the learning rate and must be "
                "above 0."
            )
        if rate != 1.0:
            faster = optax.masked(optax.scale(rate), {"generator": False, "encoder": True})
            generator = dataclasses.replace(generator, tx=optax.chain(generator.tx, faster))
        self.players = (discriminator, generator)

    def with_code(self, encoder: nn.Module, config: ConfigDict) -> nn.Module:
        """A perceptron, and the mean and the deviation of codes."""
        return models.GaussianEncoder(encoder, self.latent_dim, config.method.head_dim)

    def sample_codes(self, outputs: Outputs, views: PyTree, key: PRNGKeyArray) -> Codes:
        """Draws a code of each image, through whose mean and deviation the gradient goes."""
        keys = augment.fold_keys(keys_beside(key, views["image"]), 0)
        noise = jax.vmap(lambda key: jax.random.normal(key, (self.latent_dim,)))(keys)
        return outputs["code"] + noise * outputs["deviation"]

    def discriminator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Tells pairs apart by each of the three scores."""
        weights = {
            role: self.networks.weights(turn.state, role) for role in self.owned["generator"]
        }
        pairs = self.pairs(weights, turn.views, turn.key)
        own = turn.state.variables["discriminator"]
        real, variables = self.networks.run(
            "discriminator", (params, own), pairs.real, update_spectral=True
        )
        fake, _ = self.networks.run("discriminator", (params, own | variables), pairs.fake)
        right = {
            f"{name}_{kind}": value
            for place, name in enumerate(SCORES)
            for kind, value in self.scores(
                real["scores"][:, place], fake["scores"][:, place]
            ).items()
        }
        return losses.bigbigan_discriminator(real["scores"], fake["scores"]), Aux(
            variables=variables,
            metrics=right
            | {"collapsed": metrics.generator_collapsed(pairs.fake[0], pairs.real[0])},
            carry={"features": pairs.features},
        )

    def generator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Raises the scores of generated pairs, and lowers those of real ones."""
        own = turn.state.variables["generator"]
        weights = {role: (params[role], own[role]) for role in self.owned["generator"]}
        pairs = self.pairs(weights, turn.views, turn.key, update_spectral=True)
        frozen = self.networks.weights(turn.state, "discriminator")
        real, fake = (
            self.networks.run("discriminator", frozen, pair)[0]["scores"]
            for pair in (pairs.real, pairs.fake)
        )
        return losses.bigbigan_encoder_generator(real, fake), Aux(variables=pairs.variables)
