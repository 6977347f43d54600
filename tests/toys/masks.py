"""An image and its mask: one geometry for both, and a class for each pixel."""

import jax
import jax.numpy as jnp
import optax

from ssljax.methods.contract import Aux, Feed, Method, Player
from ssljax.methods.known_labels import mean_known


class Pixelwise(Method):
    """Names a pixel's class by its own value alone; masks are -1 where nothing is known."""

    classes = 3

    def __init__(self, config, task):
        self.channels = task.image_shape[-1]
        self.players = (Player("online", self.loss, optax.sgd(1.0)),)

    @classmethod
    def feeds(cls, config):
        return {"images": Feed(("image", "mask"))}

    def init(self, key):
        kernel = jnp.zeros((self.channels, self.classes))
        return {"online": {"kernel": kernel, "bias": jnp.zeros((self.classes,))}}, {}, ()

    def views(self, key, batch):
        images, masks = batch["images"]["image"], batch["images"]["mask"]
        mirrored = jax.random.bernoulli(key, 0.5, (len(images),))
        return (
            jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images),
            jnp.where(mirrored[:, None, None], masks[:, :, ::-1], masks),
        )

    def logits(self, params, images):
        return (
            images.astype(jnp.float32) / 255 @ params["kernel"] + params["bias"][None, None, None]
        )

    def loss(self, params, turn):
        images, masks = turn.views
        labels = masks.reshape(-1)
        logits = self.logits(params, images).reshape(-1, self.classes)
        known = jnp.maximum(labels, 0)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, known)
        hits = (jnp.argmax(logits, axis=1) == labels).astype(jnp.float32)
        return mean_known(losses, labels), Aux(metrics={"accuracy": mean_known(hits, labels)})

    def features(self, state, images):
        logits = self.logits(state.params["online"], images)
        return {"features": jnp.mean(logits, axis=(1, 2)), "pixels": logits}

    def segment(self, state, images):
        return self.logits(state.params["online"], images)
