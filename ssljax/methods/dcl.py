"""DCL: SimCLR whose positive pair does not stand among the negatives.

Yeh et al., Decoupled Contrastive Learning, 2022.
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


class DCL(Method):
    """One player, SimCLR's network, and the decoupled loss over the global batch."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet."""
        return ConfigDict(
            dict(
                temperature=0.1,
                weighted=False,  # DCLW: distant positive pairs weigh more.
                sigma=0.5,  # Of the weights.
                projector_layers=2,
                projector_dim=128,
                view=ConfigDict(dataclasses.asdict(augment.simclr(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.temperature = method.temperature
        self.weighted = method.weighted
        self.sigma = method.sigma
        self.view = augment.view_from_config(method.view)
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        self.network = models.Branch(
            encoder=models.encoder_from_config(config.model),
            projector=models.ProjectionHead(
                num_layers=method.projector_layers,
                out_dim=method.projector_dim,
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
        """DCL or DCLW of the two views' projections, with batch statistics over both views."""
        (one, two), variables = branch_pass.forward_together(
            self.network, params, state.variables["online"], views
        )
        z1, z2 = one["projection"], two["projection"]
        if self.weighted:
            loss = losses.dclw(z1, z2, self.temperature, self.sigma)
        else:
            loss = losses.dcl(z1, z2, self.temperature)
        return loss, Aux(
            variables=variables,
            metrics={"embedding_std": losses.normalized_std(z1)},
            carry={"features": one["features"]},
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of encoder and projector on the whole images."""
        return branch_pass.features(
            self.network, state.params["online"], state.variables["online"], self.view, images
        )
