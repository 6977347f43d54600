"""MoCo v3: predictions find the momentum encoder's keys among those of the whole batch.

Chen et al., An Empirical Study of Training Self-Supervised Vision Transformers, 2021.
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


class MoCoV3(Method):
    """One player, encoder, projector and predictor; the momentum encoder is memory."""

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
        self.view1 = augment.view_from_config(method.view1)
        self.view2 = augment.view_from_config(method.view2)
        self.image_shape = (self.view1.size, self.view1.size, task.image_shape[-1])
        self.target_network = models.Branch(
            encoder=models.encoder_from_config(config.model),
            projector=models.ProjectionHead(
                num_layers=method.projector_layers,
                hidden_dim=method.projector_hidden_dim,
                out_dim=method.projector_dim,
                last_bn_affine="none",
                dtype=config.model.dtype,
            ),
        )
        self.network = self.target_network.clone(
            predictor=models.ProjectionHead(
                num_layers=2,
                hidden_dim=method.predictor_hidden_dim,
                out_dim=method.projector_dim,
                last_batch_norm=method.predictor_last_bn,
                last_bn_affine="none",
                last_bias=False,
                dtype=config.model.dtype,
            )
        )
        self.players = (branch_pass.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the network, and the momentum encoder as its copy."""
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
        """InfoNCE over the batch in both directions, summed.

        The momentum encoder takes its step towards the network before it makes the keys. Either
        view has a pass, and batch statistics, of its own.
        """
        memory = state.memory
        (one, two), variables = branch_pass.forward_each(
            self.network, params, state.variables["online"], views
        )
        momentum = target_network.rising_momentum(self.momentum, state.step, self.total_steps)
        target = target_network.follow(memory["target"], state.params["online"], momentum)
        (key1, key2), target_variables = branch_pass.forward_each(
            self.target_network, target, memory["target_variables"], views
        )
        loss = losses.info_nce_batch(
            one["prediction"], key2["projection"], self.temperature
        ) + losses.info_nce_batch(two["prediction"], key1["projection"], self.temperature)
        return loss, Aux(
            variables=variables,
            metrics={
                "embedding_std": losses.normalized_std(one["projection"]),
                "momentum": momentum,
            },
            carry={
                "features": one["features"],
                "target": target,
                "target_variables": target_variables,
            },
        )

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Keeps the momentum encoder as the loss moved it."""
        memory = {name: carried[name] for name in ("target", "target_variables")}
        return state.replace(memory=memory)

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the network on the whole images."""
        return branch_pass.features(
            self.network, state.params["online"], state.variables["online"], self.view1, images
        )
