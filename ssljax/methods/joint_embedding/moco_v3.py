"""MoCo v3: predictions find the momentum encoder's keys among those of the whole batch.

Chen et al., An Empirical Study of Training Self-Supervised Vision Transformers, 2021.
"""

from __future__ import annotations

import dataclasses
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


class MoCoV3(TwoView):
    """One player, encoder, projector and predictor; the momentum encoder is memory."""

    keeps_target = True
    contrasts_batch = True

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' values for a ResNet-50 on ImageNet; the comments give those for a ViT."""
        first, second = presets.byol(224, least_crop=0.2)  # ViT: 0.08.
        # The authors resize bilinearly.
        first = dataclasses.replace(first, interpolation="bilinear")
        second = dataclasses.replace(second, interpolation="bilinear")
        return ConfigDict(
            dict(
                temperature=1.0,  # ViT: 0.2.
                momentum=0.99,  # At the start; 0.996 for 1000 epochs. It climbs to 1.
                projector_layers=2,  # ViT: 3.
                projector_hidden_dim=4096,
                projector_dim=256,
                predictor_hidden_dim=4096,
                predictor_last_bn=False,  # ViT: True.
                view1=ConfigDict(dataclasses.asdict(first)),
                view2=ConfigDict(dataclasses.asdict(second)),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.temperature = method.temperature
        self.momentum = method.momentum
        self.total_steps = task.total_steps
        projector = models.ProjectionHead(
            num_layers=method.projector_layers,
            hidden_dim=method.projector_hidden_dim,
            out_dim=method.projector_dim,
            last_bn_affine="none",
            dtype=config.model.encoder.dtype,
        )
        predictor = models.ProjectionHead(
            num_layers=2,
            hidden_dim=method.predictor_hidden_dim,
            out_dim=method.projector_dim,
            last_batch_norm=method.predictor_last_bn,
            last_bn_affine="none",
            last_bias=False,
            dtype=config.model.encoder.dtype,
        )
        # The authors' class token starts at nearly nothing.
        super().__init__(config, task, projector, predictor, class_token_std=1e-6)

    def before_step(self, state: TrainState) -> TrainState:
        """Moves the momentum encoder towards the network, before it computes the keys."""
        target = target_network.follow(
            state.memory["target"], state.params["online"], self._momentum(state)
        )
        return state.replace(memory=state.memory | {"target": target})

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """InfoNCE over the batch in both directions, summed.

        Either view has a pass, and batch statistics, of its own.
        """
        memory = turn.state.memory
        (one, two), variables = passes.forward_each(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
        )
        (key1, key2), target_variables = passes.forward_each(
            self.target_network, memory["target"], memory["target_variables"], turn.views
        )
        loss = losses.info_nce_batch(
            one["prediction"], key2["projection"], self.temperature
        ) + losses.info_nce_batch(two["prediction"], key1["projection"], self.temperature)
        return loss, Aux(
            variables=variables,
            metrics=metrics.collapse_metrics(one["projection"])
            | {"momentum": self._momentum(turn.state)},
            carry={"features": one["features"]},
            memory={"target_variables": target_variables},
        )

    def _momentum(self, state: TrainState) -> Array:
        return target_network.rising_momentum(self.momentum, state.step, self.total_steps)
