"""CycleGAN: two sets of images, four networks of two players, and a pool of earlier images."""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ssljax.methods.contract import Aux, Feed, Method, Player
from ssljax.ops.known_mappings import KNOWN_MAPPINGS

OTHER = {"photos": "paintings", "paintings": "photos"}


class CycleGAN(Method):
    """A generator towards each set, and a discriminator for it; all of them are linear."""

    evaluated = "discriminator"

    def __init__(self, config, task):
        self.shape, self.batch = task.image_shape, task.batch_size
        self.cycle_weight = config.method.cycle_weight
        self.rules = {"photos": "none", "paintings": config.method.paintings.rule}
        self.players = (
            Player("generators", self.generators_loss, optax.sgd(0.05)),
            Player("discriminators", self.discriminators_loss, optax.sgd(0.05)),
        )

    @staticmethod
    def default_config():
        other = ConfigDict({"name": "", "dir": "", "split": "test", "rule": "none"})
        return ConfigDict({"view": {"size": 8}, "cycle_weight": 10.0, "paintings": other})

    @classmethod
    def feeds(cls, config):
        return {"photos": Feed(), "paintings": Feed(data="method.paintings")}

    def init(self, key):
        height, width, channels = self.shape
        pixels = height * width * channels
        generators = {name: 0.5 * jnp.eye(pixels) for name in OTHER}
        discriminators = {name: jnp.zeros((pixels, 1)) for name in OTHER}
        pools = {name: jnp.zeros((self.batch, pixels)) for name in OTHER}
        params = {"generators": generators, "discriminators": discriminators}
        return params, {}, {"pools": pools}

    def views(self, key, batch):
        views = {}
        for name, feed in batch.items():
            images = KNOWN_MAPPINGS[self.rules[name]](feed["image"])
            views[name] = images.reshape(len(images), -1).astype(jnp.float32) / 127.5 - 1
        return views

    def generators_loss(self, params, turn):
        judges, loss, fakes = turn.state.params["discriminators"], 0.0, {}
        for name, source in OTHER.items():
            real = turn.views[source]
            fakes[name] = real @ params[name]
            again = fakes[name] @ params[source]
            loss += jnp.mean((fakes[name] @ judges[name] - 1) ** 2)
            loss += self.cycle_weight * jnp.mean(jnp.abs(again - real))
        return loss, Aux(carry={"fakes": fakes})

    def discriminators_loss(self, params, turn):
        loss, pools = 0.0, {}
        for name, pool in turn.state.memory["pools"].items():
            fake = jax.lax.stop_gradient(turn.carried["fakes"][name])
            # Every second image is shown as it is, until the pool is full all of them are.
            old = (jnp.arange(self.batch) % 2 == 0)[:, None] & (turn.state.step > 0)
            shown, pools[name] = jnp.where(old, pool, fake), jnp.where(old, fake, pool)
            pools[name] = jnp.where(turn.state.step > 0, pools[name], fake)
            loss += jnp.mean((turn.views[name] @ params[name] - 1) ** 2)
            loss += jnp.mean((shown @ params[name]) ** 2)
        return loss, Aux(memory={"pools": pools})

    def features(self, state, images):
        pixels = images.reshape(len(images), -1).astype(jnp.float32) / 127.5 - 1
        return {"features": pixels * state.params["discriminators"]["photos"][:, 0][None]}

    def translations(self):
        return tuple(f"{source} to {name}" for name, source in OTHER.items())

    def translate(self, state, images, way):
        name = way.rsplit(" ", 1)[-1]
        pixels = images.reshape(len(images), -1).astype(jnp.float32) / 127.5 - 1
        return (pixels @ state.params["generators"][name]).reshape(images.shape)
