"""A clip of frames: are they in their order?

Misra et al., Shuffle and Learn, 2016.
"""

import jax
import jax.numpy as jnp
import optax

from ssljax.methods.contract import Aux, Feed, Method, Player


class FrameOrder(Method):
    """A linear encoder of frames, and a linear judge of three of them."""

    dim = 6

    def __init__(self, config, task):
        self.shape = task.image_shape
        self.players = (Player("online", self.loss, optax.sgd(0.1)),)

    @classmethod
    def feeds(cls, config):
        return {"clips": Feed(("clip",))}

    def init(self, key):
        height, width, channels = self.shape
        encoder = 0.1 * jax.random.normal(key, (height * width * channels, self.dim))
        return {"online": {"encoder": encoder, "judge": jnp.zeros((3 * self.dim,))}}, {}, ()

    def views(self, key, batch):
        clips = batch["clips"]["clip"].astype(jnp.float32) / 255
        shuffled = jax.random.bernoulli(key, 0.5, (len(clips),))
        wrong = clips[:, jnp.array([1, 0, 2])]
        mixed = shuffled[:, None, None, None, None]
        return jnp.where(mixed, wrong, clips[:, :3]), shuffled.astype(jnp.float32)

    def encode(self, encoder, frames):
        return frames.reshape(*frames.shape[:-3], -1) @ encoder

    def loss(self, params, turn):
        clips, shuffled = turn.views
        codes = self.encode(params["encoder"], clips).reshape(len(clips), -1)
        logits = codes @ params["judge"]
        losses = optax.sigmoid_binary_cross_entropy(logits, shuffled)
        return jnp.mean(losses), Aux(metrics={"shuffled": jnp.mean(shuffled)})

    def features(self, state, images):
        pixels = images.astype(jnp.float32) / 255
        return {"features": self.encode(state.params["online"]["encoder"], pixels)}
