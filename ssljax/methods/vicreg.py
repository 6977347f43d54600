"""VICReg: embeddings of two views agree, vary over the batch, and do not repeat themselves.

Bardes et al., VICReg: Variance-Invariance-Covariance Regularization, 2022.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods import branch_pass
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState

PyTree = Any


class VICReg(Method):
    """One player, encoder and expander, and statistics over the global batch."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet; the projector is what it calls the expander."""
        first, second = presets.byol(224)
        return ConfigDict(
            dict(
                invariance=25.0,
                variance=25.0,
                covariance=1.0,
                projector_layers=3,
                projector_hidden_dim=8192,
                projector_dim=8192,
                view1=ConfigDict(dataclasses.asdict(first)),
                view2=ConfigDict(dataclasses.asdict(second)),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.weights = {name: method[name] for name in ("invariance", "variance", "covariance")}
        self.view1 = augment.view_from_config(method.view1)
        self.view2 = augment.view_from_config(method.view2)
        self.image_shape = (self.view1.size, self.view1.size, task.image_shape[-1])
        self.network = models.Branch(
            encoder=models.encoder_from_config(config.model),
            projector=models.ProjectionHead(
                num_layers=method.projector_layers,
                hidden_dim=method.projector_hidden_dim,
                out_dim=method.projector_dim,
                last_batch_norm=False,
                last_bias=False,
                dtype=config.model.dtype,
            ),
        )
        self.players = (branch_pass.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the encoder and the expander."""
        params, variables = branch_pass.init(self.network, key, self.image_shape)
        return {"online": params}, {"online": variables}, ()

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes one view of either kind of every image."""
        return augment.multi_crop(key, batch["image"], [(self.view1, 1), (self.view2, 1)])

    def loss(
        self,
        params: PyTree,
        state: TrainState,
        views: PyTree,
        key: PRNGKeyArray,
        carried: Mapping[str, PyTree],
    ) -> tuple[Array, Aux]:
        """The three terms, weighted; each view has its own pass."""
        (one, two), variables = branch_pass.forward_each(
            self.network, params, state.variables["online"], views
        )
        terms = dict(
            zip(
                ("invariance", "variance", "covariance"),
                losses.vicreg_terms(one["projection"], two["projection"]),
                strict=True,
            )
        )
        loss = sum(weight * terms[name] for name, weight in self.weights.items())
        return loss, Aux(
            variables=variables,
            metrics=terms | {"embedding_std": losses.normalized_std(one["projection"])},
            carry={"features": one["features"]},
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of encoder and expander on the whole images."""
        return branch_pass.features(
            self.network, state.params["online"], state.variables["online"], self.view1, images
        )
