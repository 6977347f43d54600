"""SimMIM: the pixels of hidden patches are predicted by one linear layer on the encoder's tokens.

Xie et al., SimMIM: a Simple Framework for Masked Image Modeling, 2022.
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
from ssljax.ops.masking import unit_masks

PyTree = Any


class SimMIM(Method):
    """One player, the vision transformer with the linear head that evaluations leave out.

    The authors' main network is a Swin transformer, and a ViT the second: only the ViT is offered
    here. Theirs has one relative position bias for all blocks. Here positions are added to the
    tokens, fixed sines and cosines unless the config says otherwise.
    """

    roles: ClassVar = {"encoder": models.ENCODER}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ViT-B/16 on ImageNet."""
        return ConfigDict(
            dict(
                mask_ratio=0.6,
                mask_size=32,  # Side of the squares that are hidden, in pixels.
                view=ConfigDict(dataclasses.asdict(presets.simmim(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        encoder = models.vision_transformer("simmim", config.model.encoder)
        self.view = augment.view_from_config(method.view)
        if not method.mask_size or method.mask_size % encoder.patch_size:
            raise ValueError(
                f"config.method.mask_size={method.mask_size} is no multiple of the encoder's "
                f"patches of {encoder.patch_size} pixels: give one."
            )
        self.mask_ratio = method.mask_ratio
        self.unit = method.mask_size // encoder.patch_size
        self.policies = [(self.view, 1)]
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        self.network = models.MaskedImageModel(
            encoder.clone(positions=config.model.encoder.get("positions") or "sincos")
        )
        self.players = (passes.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the encoder and the head."""
        image = jnp.zeros((1, *self.image_shape))
        mask = self.masks(key, image)
        return {"online": self.network.init(key, image, mask, train=False)["params"]}, {}, ()

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes one view of every image."""
        return augment.make_view(self.view, key, batch["images"])

    def masks(self, key: PRNGKeyArray, images: Array) -> Array:
        """What is hidden of each image, (batch, patches)."""
        grid = models.patch_grid(images.shape, self.network.encoder.patch_size)
        return unit_masks(key, len(images), grid, self.unit, self.mask_ratio)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Absolute error of the hidden patches, which differ in every example and step."""
        mask_key, drop_key = jax.random.split(turn.key)
        mask = self.masks(mask_key, turn.views)
        outputs: Any = self.network.apply(
            {"params": params}, turn.views, mask, train=True, rngs={"drop_path": drop_key}
        )
        target = models.patchify(turn.views, self.network.encoder.patch_size)
        loss = losses.masked_patch_l1(outputs["prediction"], target, mask)
        return loss, Aux(
            metrics=metrics.collapse_metrics(outputs["features"]),
            carry={"features": outputs["features"]},
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the encoder on the whole images, of which nothing is hidden."""
        encoder = state.params["online"]["encoder"]
        return passes.features(self.network.encoder, encoder, {}, self.view, images)
