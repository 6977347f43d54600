"""BYOL: one view's prediction regresses a slower network's projection of the other view.

Grill et al., Bootstrap Your Own Latent, 2020.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import losses, metrics, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Task, TrainState, Turn
from ssljax.methods.joint_embedding import target_network
from ssljax.methods.joint_embedding.two_view import TwoView

PyTree = Any


class BYOL(TwoView):
    """One player, the online network; the target network is memory."""

    keeps_target = True

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for 1000 epochs on ImageNet."""
        first, second = presets.byol(224, original=True)
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
        head = functools.partial(
            models.ProjectionHead,
            num_layers=2,
            out_dim=method.projector_dim,
            last_batch_norm=False,
            last_bias=False,
            dtype=config.model.encoder.dtype,
        )
        super().__init__(
            config,
            task,
            projector=head(hidden_dim=method.projector_hidden_dim),
            predictor=head(hidden_dim=method.predictor_hidden_dim),
        )

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The sum of both views' regressions.

        Either network passes either view in training mode, by that view's batch statistics.
        """
        memory = turn.state.memory
        (one, two), variables = passes.forward_each(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
        )
        (target1, target2), target_variables = passes.forward_each(
            self.target_network, memory["target"], memory["target_variables"], turn.views
        )
        loss = losses.byol(
            one["prediction"], two["prediction"], target1["projection"], target2["projection"]
        )
        return loss, Aux(
            variables=variables,
            metrics=metrics.collapse_metrics(one["projection"])
            | {"momentum": self._momentum(turn.state)},
            carry={"features": one["features"]},
            memory={"target_variables": target_variables},
        )

    def _momentum(self, state: TrainState) -> Array:
        return target_network.rising_momentum(self.momentum, state.step, self.total_steps)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Moves the target's parameters towards the online ones, as the optimizer left them."""
        target = target_network.follow(
            state.memory["target"], state.params["online"], self._momentum(state)
        )
        return state.replace(memory=state.memory | {"target": target})
