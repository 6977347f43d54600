"""Alignment and uniformity: views of an image lie together, and images all over the sphere.

Wang and Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity
on the Hypersphere (arXiv:2005.10242), 2020, equations 2 and 3.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ssljax import augment, methods, models
from ssljax.config import base_config
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Method


class AlignUniform(Method):
    """One player, "online": an encoder with a projection head."""

    roles: ClassVar = {"encoder": models.ENCODER}  # Keys model.encoder.name and so on.

    @staticmethod
    def default_config():
        """The keys under config.method."""
        view = augment.ViewPolicy(32, crop_scale=(0.2, 1.0), brightness=0.4, contrast=0.4)
        return ConfigDict(
            dict(
                projector_dim=128,
                uniformity=1.0,  # Weight of the second term.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def __init__(self, config, task):
        self.weight = config.method.uniformity
        self.policies = [(augment.view_from_config(config.method.view), 2)]
        head = models.ProjectionHead(num_layers=2, out_dim=config.method.projector_dim)
        encoder = models.encoder_from_config(config.model.encoder)
        self.network = models.EncoderWithHeads(encoder, head)
        self.players = (passes.online_player(self.loss, config, task),)
        self.channels = task.image_shape[-1]

    def init(self, key):
        """Parameters and other collections by player, and the memory: there is none."""
        side = self.policies[0][0].size
        params, variables = passes.init(self.network, key, (side, side, self.channels))
        return {"online": params}, {"online": variables}, ()

    def views(self, key, batch):
        """Two views of every image; this runs on the devices, inside the step."""
        return augment.make_views(key, batch["images"], self.policies)

    def loss(self, params, turn):
        """Alignment of the two views, and uniformity of either."""
        (one, two), variables = passes.forward_together(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
        )
        x, y = (out["projection"] / jnp.linalg.norm(out["projection"], axis=1, keepdims=True)
                for out in (one, two))  # fmt: skip
        align = jnp.mean(jnp.sum(jnp.square(x - y), axis=1))
        uniform = (_uniformity(x) + _uniformity(y)) / 2
        return align + self.weight * uniform, Aux(
            variables, metrics={"align": align, "uniform": uniform}
        )

    def features(self, state, images):
        """Every layer on whole images: what probes, `ssljax.load` and pictures read."""
        return passes.features(
            self.network,
            state.params["online"],
            state.variables["online"],
            self.policies[0][0],
            images,
        )


def _uniformity(x):
    """The logarithm of the mean Gaussian potential of pairs; rows are unit vectors."""
    count = len(x)
    squared = 2 - 2 * x @ x.T
    others = ~jnp.eye(count, dtype=bool)
    return jax.nn.logsumexp(jnp.where(others, -2 * squared, -jnp.inf)) - jnp.log(
        jnp.float32(count * (count - 1))
    )


methods.REGISTRY["align_uniform"] = AlignUniform


def get_config():
    """A thin network on scikit-learn's digits."""
    config = base_config("align_uniform")
    config.batch_size = 256
    config.epochs = 100.0
    config.data.update(name="digits", image_size=16, channels=1, resize="exact", cache="device")
    config.method.view.update(size=16, flip_p=0.0)
    config.model.encoder.name = "small"
    config.optimizer.update(name="adamw", learning_rate=2e-3, warmup_epochs=5.0)
    return config
