"""BiGAN: an encoder and a generator are one player, against a judge of images with their codes."""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ssljax.methods.contract import Aux, Method, Player


class BiGAN(Method):
    """All three networks are linear; the discriminator multiplies image and code."""

    evaluated = "encoder"
    dim = 6

    def __init__(self, config, task):
        self.shape = task.image_shape
        self.players = (
            Player("discriminator", self.discriminator_loss, optax.sgd(0.05)),
            Player("generator_and_encoder", self.joint_loss, optax.sgd(0.05)),
        )

    @staticmethod
    def default_config():
        return ConfigDict({"view": {"size": 8}})

    def init(self, key):
        height, width, channels = self.shape
        pixels, keys = height * width * channels, jax.random.split(key, 3)
        discriminator = 0.1 * jax.random.normal(keys[0], (pixels, self.dim))
        joint = {
            "generator": 0.1 * jax.random.normal(keys[1], (self.dim, pixels)),
            "encoder": 0.1 * jax.random.normal(keys[2], (pixels, self.dim)),
        }
        return {"discriminator": discriminator, "generator_and_encoder": joint}, {}, ()

    def views(self, key, batch):
        images = batch["images"]["image"]
        return images.reshape(len(images), -1).astype(jnp.float32) / 127.5 - 1

    def pairs(self, joint, images, key):
        """Real images with their codes, and codes with their images."""
        codes = jax.random.normal(key, (len(images), self.dim))
        return (images, images @ joint["encoder"]), (codes @ joint["generator"], codes)

    @staticmethod
    def judge(params, pair):
        images, codes = pair
        return jnp.sum(images @ params * codes, axis=1)

    def discriminator_loss(self, params, turn):
        joint = turn.state.params["generator_and_encoder"]
        real, fake = (self.judge(params, p) for p in self.pairs(joint, turn.views, turn.key))
        return jnp.mean(jax.nn.softplus(-real) + jax.nn.softplus(fake)), Aux()

    def joint_loss(self, params, turn):
        judge = turn.state.params["discriminator"]
        real, fake = (self.judge(judge, p) for p in self.pairs(params, turn.views, turn.key))
        carry = {"features": turn.views @ params["encoder"]}
        return jnp.mean(jax.nn.softplus(real) + jax.nn.softplus(-fake)), Aux(carry=carry)

    def features(self, state, images):
        pixels = images.reshape(len(images), -1).astype(jnp.float32) / 127.5 - 1
        return {"features": pixels @ state.params["generator_and_encoder"]["encoder"]}

    def latents(self, key, count):
        return jax.random.normal(key, (count, self.dim))

    def generate(self, state, latents):
        images = latents @ state.params["generator_and_encoder"]["generator"]
        return jnp.clip(images, -1, 1).reshape(len(latents), *self.shape)
