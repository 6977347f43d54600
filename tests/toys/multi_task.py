"""Several pretext tasks over one trunk: each is an object, and one player sums their losses."""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ssljax.methods.contract import Aux, Method, Player


class Rotation:
    """By how many quarters is the image turned?"""

    name, classes = "rotation", 4

    def view(self, key, images):
        turns = jax.random.randint(key, (len(images),), 0, 4)
        turned = jnp.stack([jnp.rot90(images, k, axes=(1, 2)) for k in range(4)])
        return turned[turns, jnp.arange(len(images))], turns


class Mirror:
    """Is the image mirrored?"""

    name, classes = "mirror", 2

    def view(self, key, images):
        mirrored = jax.random.bernoulli(key, 0.5, (len(images),))
        return jnp.where(
            mirrored[:, None, None, None], images[:, :, ::-1], images
        ), mirrored.astype(jnp.int32)


class MultiTask(Method):
    """A linear trunk, and a linear head for each task."""

    tasks = (Rotation(), Mirror())
    width = 16

    def __init__(self, config, task):
        self.shape = task.image_shape
        self.players = (Player("online", self.loss, optax.sgd(0.1)),)

    @staticmethod
    def default_config():
        return ConfigDict({"view": {"size": 8}})

    def init(self, key):
        height, width, channels = self.shape
        trunk = 0.1 * jax.random.normal(key, (height * width * channels, self.width))
        heads = {task.name: jnp.zeros((self.width, task.classes)) for task in self.tasks}
        return {"online": {"trunk": trunk, "heads": heads}}, {}, ()

    def views(self, key, batch):
        images = batch["images"]["image"].astype(jnp.float32) / 255
        keys = jax.random.split(key, len(self.tasks))
        return {t.name: t.view(k, images) for t, k in zip(self.tasks, keys, strict=True)}

    def encode(self, params, images):
        return jnp.tanh(images.reshape(len(images), -1) @ params["trunk"])

    def loss(self, params, turn):
        losses, metrics = [], {}
        for name, (images, targets) in turn.views.items():
            logits = self.encode(params, images) @ params["heads"][name]
            entropies = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
            losses.append(jnp.mean(entropies))
            metrics[f"{name}_loss"] = losses[-1]
        return sum(losses), Aux(metrics=metrics)

    def features(self, state, images):
        pixels = images.astype(jnp.float32) / 255
        return {"features": self.encode(state.params["online"], pixels)}
