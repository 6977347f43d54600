"""SimCLR: two views of an image agree, against all other images of the batch.

Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020 (v1), and
Big Self-Supervised Models are Strong Semi-Supervised Learners, 2020 (v2: three-layer head).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods import branch_pass
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState

PyTree = Any


class SimCLR(Method):
    """One player, the encoder with its projection head, and NT-Xent over the global batch."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet."""
        return ConfigDict(
            dict(
                temperature=0.1,
                # v1: two layers; v2: three. The hidden layers are as wide as the features.
                projector_layers=2,
                projector_dim=128,
                view=ConfigDict(dataclasses.asdict(augment.simclr(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        self.temperature = config.method.temperature
        self.view = augment.view_from_config(config.method.view)
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        self.network = models.Branch(
            encoder=models.encoder_from_config(config.model),
            projector=models.ProjectionHead(
                num_layers=config.method.projector_layers,
                out_dim=config.method.projector_dim,
                kernel_init=nn.initializers.normal(0.01),
                dtype=config.model.dtype,
            ),
        )
        self.players = (branch_pass.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the encoder and the projector."""
        params, variables = branch_pass.init(self.network, key, self.image_shape)
        return {"online": params}, {"online": variables}, ()

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes two independent views of every image."""
        return augment.multi_crop(key, batch["image"], [(self.view, 2)])

    def loss(
        self,
        params: PyTree,
        state: TrainState,
        views: PyTree,
        key: PRNGKeyArray,
        carried: Mapping[str, PyTree],
    ) -> tuple[Array, Aux]:
        """NT-Xent of the two views' projections, with batch statistics over both views."""
        (one, two), variables = branch_pass.forward_together(
            self.network, params, state.variables["online"], views
        )
        loss = losses.nt_xent(one["projection"], two["projection"], self.temperature)
        return loss, Aux(
            variables=variables,
            metrics={"embedding_std": losses.normalized_std(one["projection"])},
            carry={"features": one["features"]},
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of encoder and projector on the whole images."""
        return branch_pass.features(
            self.network, state.params["online"], state.variables["online"], self.view, images
        )
