"""A method that generates, small enough to work out by hand: a mean and a spread for each class."""

import contextlib
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
import pytest
import runs
from ml_collections import ConfigDict

from ssljax import methods, models
from ssljax.methods.contract import Aux, Feed, Method, Player

CONFIG = """
from ssljax.config.base import base_config


def get_config():
    config = base_config("affine")
    config.data.update(name="digits", channels=1, resize="exact", cache="device")
    return config
"""


class Affine(Method):
    """G(noise, class) = mean[class] + spread[class] * noise, learnt from labelled images."""

    roles: ClassVar = {"encoder": models.ENCODER}  # Unread; the command line sets its widths.
    evaluated = "pixels"

    def __init__(self, config, task):
        self.shape, self.classes = task.image_shape, task.num_classes or 1
        self.players = (Player("generator", self.loss, optax.rmsprop(0.02)),)

    @staticmethod
    def default_config():
        return ConfigDict({"view": {"size": 8}})

    @classmethod
    def feeds(cls, config):
        return {"images": Feed(("image", "label"))}

    def init(self, key):
        mean, spread = (jnp.full((self.classes, *self.shape), value) for value in (0.5, 0.1))
        return {"generator": {"mean": mean, "spread": spread}}, {}, ()

    def views(self, key, batch):
        images = batch["images"]["image"].astype(jnp.float32) / 127.5 - 1.0
        return images, batch["images"].get("label", jnp.zeros(len(images), jnp.int32))

    def loss(self, params, turn):
        images, labels = turn.views
        away = images - params["mean"][labels]
        wide = jnp.abs(jax.lax.stop_gradient(away)) - params["spread"][labels]
        return jnp.mean(away**2) + jnp.mean(wide**2), Aux()

    def latents(self, key, count):
        noise = jax.random.normal(key, (count, *self.shape))
        return {"noise": noise, "class": jnp.arange(count) % self.classes}

    def generate(self, state, latents):
        params, named = state.params["generator"], latents["class"]
        return params["mean"][named] + params["spread"][named] * latents["noise"]

    def features(self, state, images):
        return {"features": images.reshape(len(images), -1).astype(jnp.float32) / 255}


@contextlib.contextmanager
def listed():
    """Puts the method into the table for as long as it is needed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(methods.REGISTRY, "affine", Affine)
        yield


def arguments(folder, name="affine", **changes):
    """A command line of a tiny run of it, in a workdir in the folder."""
    file = folder / "affine.py"
    file.write_text(CONFIG)
    return runs.arguments(folder / name, file, **changes)
