"""BiGAN: an encoder and a generator are one player, against a judge of images with their codes."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from ssljax import models
from ssljax.methods.adversarial.game import Adversarial
from ssljax.methods.contract import Aux

DIM = 6


class Encoder(nn.Module):
    """A code of each image."""

    dim: int

    @nn.compact
    def __call__(self, images, train, labels=None):
        return nn.Dense(self.dim)(images.reshape(len(images), -1))


class Judge(nn.Module):
    """A logit of each pair of image and code."""

    hidden: int

    @nn.compact
    def __call__(self, pair, train, labels=None):
        images, codes = pair
        joined = jnp.concatenate([images.reshape(len(images), -1), codes], axis=1)
        return nn.Dense(1)(nn.relu(nn.Dense(self.hidden)(joined)))[:, 0]


class BiGAN(Adversarial):
    """Of the game's two roles it replaces the discriminator, and adds one."""

    roles: ClassVar = {
        "generator": models.GENERATOR.with_options(width=1 / 64),
        "encoder": models.Role("encoder", {"dense": Encoder}, {"name": "dense", "dim": DIM}),
        "discriminator": models.Role("judge", {"dense": Judge}, {"name": "dense", "hidden": 16}),
    }
    evaluated = "encoder"
    owned: ClassVar = {"discriminator": ("discriminator",), "generator": ("generator", "encoder")}

    @staticmethod
    def default_config():
        config = Adversarial.default_config()
        config.update(latent_dim=DIM, view=ConfigDict({"size": 8}))
        return config

    def __init__(self, config, task):
        super().__init__(config, task, "minimax")

    def inputs(self, role):
        images, _ = super().inputs("encoder")
        codes = jnp.zeros((1, self.latent_dim))
        given = {"encoder": images, "discriminator": (images, codes)}
        return (given[role], False) if role in given else super().inputs(role)

    def play(self, turn, joint, judge):
        """Logits of images with their codes, and of codes with their images."""
        code, _ = self.networks.run("encoder", joint["encoder"], turn.views["image"])
        fake, latents, changed = self.sample_fakes(*joint["generator"], turn.views, turn.key)
        pairs = (turn.views["image"], code), (fake, latents["noise"])
        logits = [self.networks.run("discriminator", judge, pair)[0] for pair in pairs]
        return *logits, code, changed

    def discriminator_loss(self, params, turn):
        joint = {role: self.networks.weights(turn.state, role) for role in self.owned["generator"]}
        real, fake, code, _ = self.play(turn, joint, (params, {}))
        return self.game.discriminator(real, fake), Aux(carry={"features": code})

    def generator_loss(self, params, turn):
        own = turn.state.variables["generator"]
        joint = {role: (params[role], own[role]) for role in params}
        judge = self.networks.weights(turn.state, "discriminator")
        real, fake, _, changed = self.play(turn, joint, judge)
        variables = {"generator": own["generator"] | changed}
        return self.game.discriminator(fake, real), Aux(variables=variables)

    def features(self, state, images):
        params, variables = self.networks.weights(state, "encoder")
        pixels = images.astype(jnp.float32) / 127.5 - 1
        network = self.networks.by_role["encoder"]
        return {"features": network.apply({"params": params, **variables}, pixels, False)}
