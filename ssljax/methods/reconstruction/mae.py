"""The masked autoencoder: most patches of an image are predicted from the few that are seen.

He et al., Masked Autoencoders Are Scalable Vision Learners, 2022.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, metrics, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState, Turn

PyTree = Any


class MAE(Method):
    """One player, the vision transformer with the decoder that evaluations leave out."""

    roles: ClassVar = {"encoder": models.ENCODER}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ViT-B/16 on ImageNet."""
        return ConfigDict(
            dict(
                mask_ratio=0.75,
                normalize_pixels=True,  # Each target patch to mean 0 and variance 1.
                decoder_dim=512,
                decoder_depth=8,
                decoder_heads=16,
                view=ConfigDict(dataclasses.asdict(presets.mae(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        encoder = models.vision_transformer("mae", config.model.encoder)
        self.normalize_pixels = method.normalize_pixels
        self.view = augment.view_from_config(method.view)
        self.policies = [(self.view, 1)]
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        self.network = models.MaskedAutoencoder(
            encoder=encoder.clone(
                positions=config.model.encoder.get("positions") or "sincos",
                initializer=config.model.encoder.get("initializer") or "xavier",
            ),
            mask_ratio=method.mask_ratio,
            decoder_dim=method.decoder_dim,
            decoder_depth=method.decoder_depth,
            decoder_heads=method.decoder_heads,
        )
        self.players = (passes.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the encoder and the decoder."""
        image = jnp.zeros((1, *self.image_shape))
        variables = self.network.init(key, image, jax.random.key(0), train=False)
        return {"online": variables["params"]}, {}, ()

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes one view of every image."""
        return augment.make_view(self.view, key, batch["images"])

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Squared error of the hidden patches, which differ in every example and step."""
        mask_key, drop_key = jax.random.split(turn.key)
        outputs: Any = self.network.apply(
            {"params": params}, turn.views, mask_key, train=True, rngs={"drop_path": drop_key}
        )
        target = models.patchify(turn.views, self.network.encoder.patch_size)
        loss = losses.masked_patch_mse(
            outputs["prediction"], target, outputs["mask"], self.normalize_pixels
        )
        return loss, Aux(
            metrics=metrics.collapse_metrics(outputs["features"]),
            carry={"features": outputs["features"]},
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the encoder on the whole images, with all patches."""
        encoder = state.params["online"]["encoder"]
        return passes.features(self.network.encoder, encoder, {}, self.view, images)
