"""ProGAN: the images grow as it trains, and each size is a phase with a graph of its own."""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ssljax.methods.contract import Aux, Method, Phase, Player


def shrink(images, factor):
    """Means over squares."""
    count, height, width, channels = images.shape
    parts = images.reshape(count, height // factor, factor, width // factor, factor, channels)
    return jnp.mean(parts, axis=(2, 4))


def enlarge(images, factor):
    """Repeats each pixel."""
    return jnp.repeat(jnp.repeat(images, factor, axis=1), factor, axis=2)


class ProGAN(Method):
    """First of 4 and then of 8 pixels; both sizes' layers lie in the state from the start."""

    evaluated = "discriminator"
    phases = (Phase("4 px", 2), Phase("8 px", 2))
    dim = 6

    def __init__(self, config, task):
        self.side = task.image_shape[0]
        self.factor = 2 if task.phase == 0 else 1
        self.size = f"{self.side // self.factor} px"
        self.players = (
            Player("discriminator", self.discriminator_loss, optax.sgd(1e-2, momentum=0.9)),
            Player("generator", self.generator_loss, optax.sgd(1e-2, momentum=0.9)),
        )

    @staticmethod
    def default_config():
        return ConfigDict({"view": {"size": 8}})

    def init(self, key):
        sizes = {f"{side} px": side**2 for side in (self.side // 2, self.side)}
        generator = {name: jax.random.normal(key, (self.dim, n)) for name, n in sizes.items()}
        discriminator = {name: jnp.full((n, 1), 0.01) for name, n in sizes.items()}
        return {"generator": generator, "discriminator": discriminator}, {}, ()

    def enter_phase(self, state):
        opt_state = {p.name: p.tx.init(state.params[p.name]) for p in self.players}
        return state.replace(opt_state=opt_state)

    def views(self, key, batch):
        return shrink(batch["images"]["image"].astype(jnp.float32) / 127.5 - 1, self.factor)

    def draw(self, params, key, count):
        side = self.side // self.factor
        noise = jax.random.normal(key, (count, self.dim))
        return jnp.tanh(noise @ params[self.size]).reshape(count, side, side, 1)

    def judge(self, params, images):
        return images.reshape(len(images), -1) @ params[self.size]

    def discriminator_loss(self, params, turn):
        fake = self.draw(turn.state.params["generator"], turn.key, len(turn.views))
        real, fake = self.judge(params, turn.views), self.judge(params, fake)
        return jnp.mean(jax.nn.softplus(-real) + jax.nn.softplus(fake)), Aux()

    def generator_loss(self, params, turn):
        fake = self.draw(params, turn.key, len(turn.views))
        return jnp.mean(
            jax.nn.softplus(-self.judge(turn.state.params["discriminator"], fake))
        ), Aux()

    def features(self, state, images):
        pixels = shrink(images.astype(jnp.float32) / 127.5 - 1, self.factor)
        flat = pixels.reshape(len(pixels), -1)
        return {"features": flat * state.params["discriminator"][self.size][:, 0][None]}

    def latents(self, key, count):
        return jax.random.normal(key, (count, self.dim))

    def generate(self, state, latents):
        side = self.side // self.factor
        images = jnp.tanh(latents @ state.params["generator"][self.size])
        return enlarge(images.reshape(len(latents), side, side, 1), self.factor)
