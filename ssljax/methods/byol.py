"""BYOL: one view's prediction regresses a slower network's projection of the other view.

Grill et al., Bootstrap Your Own Latent, 2020.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods import branch_pass, target_network
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState

PyTree = Any


class BYOL(Method):
    """One player, the online network; the target network is memory."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for 1000 epochs on ImageNet."""
        first, second = presets.byol(224)
        return ConfigDict(
            dict(
                # At the start; it climbs to 1. For 100 and 300 epochs 0.99, for 40 epochs 0.97.
                momentum=0.996,
                projector_hidden_dim=4096,
                projector_dim=256,
                predictor_hidden_dim=4096,
                view1=ConfigDict(dataclasses.asdict(first)),
                view2=ConfigDict(dataclasses.asdict(second)),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.momentum = method.momentum
        self.total_steps = task.total_steps
        self.view1 = augment.view_from_config(method.view1)
        self.view2 = augment.view_from_config(method.view2)
        self.image_shape = (self.view1.size, self.view1.size, task.image_shape[-1])
        self.target_network = models.Branch(
            encoder=models.encoder_from_config(config.model),
            projector=self._head(method.projector_hidden_dim, config),
        )
        self.network = self.target_network.clone(
            predictor=self._head(method.predictor_hidden_dim, config)
        )
        self.players = (branch_pass.online_player(self.loss, config, task),)

    @staticmethod
    def _head(hidden_dim: int, config: ConfigDict) -> models.ProjectionHead:
        return models.ProjectionHead(
            num_layers=2,
            hidden_dim=hidden_dim,
            out_dim=config.method.projector_dim,
            last_batch_norm=False,
            last_bias=False,
            dtype=config.model.dtype,
        )

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the online network, and the target as the copy of its encoder and projector."""
        params, variables = branch_pass.init(self.network, key, self.image_shape)
        target, target_variables = target_network.without_predictor(params, variables)
        memory = {"target": target, "target_variables": target_variables}
        return {"online": params}, {"online": variables}, memory

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
        """The sum of both views' regressions.

        Either network passes either view in training mode, by that view's batch statistics.
        """
        memory = state.memory
        (one, two), variables = branch_pass.forward_each(
            self.network, params, state.variables["online"], views
        )
        (target1, target2), target_variables = branch_pass.forward_each(
            self.target_network, memory["target"], memory["target_variables"], views
        )
        loss = losses.byol(
            one["prediction"], two["prediction"], target1["projection"], target2["projection"]
        )
        return loss, Aux(
            variables=variables,
            metrics={
                "embedding_std": losses.normalized_std(one["projection"]),
                "momentum": self._momentum(state),
            },
            carry={"features": one["features"], "target_variables": target_variables},
        )

    def _momentum(self, state: TrainState) -> Array:
        return target_network.rising_momentum(self.momentum, state.step, self.total_steps)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Moves the target's parameters towards the online ones, as the optimizer left them."""
        memory = {
            "target": target_network.follow(
                state.memory["target"], state.params["online"], self._momentum(state)
            ),
            "target_variables": carried["target_variables"],
        }
        return state.replace(memory=memory)

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the online network on the whole images."""
        return branch_pass.features(
            self.network, state.params["online"], state.variables["online"], self.view1, images
        )
