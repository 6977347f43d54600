"""SimSiam: one view's prediction is close to the other's projection, which takes no gradient.

Chen and He, Exploring Simple Siamese Representation Learning, 2021.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import optax
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods import branch_pass
from ssljax.methods.contract import Aux, Batch, Method, Player, Task, TrainState

PyTree = Any


class SimSiam(Method):
    """One player, encoder, projector and predictor; no negatives and no second network."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet; its encoder has `model.zero_init_residual`."""
        return ConfigDict(
            dict(
                projector_layers=3,  # CIFAR: 2.
                projector_hidden_dim=2048,
                projector_dim=2048,
                predictor_hidden_dim=512,
                # Whether the predictor keeps the highest learning rate from the first step on.
                predictor_constant_rate=True,
                view=ConfigDict(dataclasses.asdict(presets.moco_v2(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.view = augment.view_from_config(method.view)
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        self.network = models.Branch(
            encoder=models.encoder_from_config(config.model),
            projector=models.ProjectionHead(
                num_layers=method.projector_layers,
                hidden_dim=method.projector_hidden_dim,
                out_dim=method.projector_dim,
                last_bn_affine="none",
                dtype=config.model.dtype,
            ),
            predictor=models.ProjectionHead(
                num_layers=2,
                hidden_dim=method.predictor_hidden_dim,
                out_dim=method.projector_dim,
                last_batch_norm=False,
                dtype=config.model.dtype,
            ),
        )
        player = branch_pass.online_player(self.loss, config, task)
        if method.predictor_constant_rate:
            player = _with_constant_rate(player, config, task)
        self.players = (player,)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes encoder, projector and predictor."""
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
        """Mean of both directions' negative cosine; either view has a pass of its own.

        `embedding_std` is the gauge of collapse: 0 then, near 1 / sqrt(projector_dim) in health.
        """
        (one, two), variables = branch_pass.forward_each(
            self.network, params, state.variables["online"], views
        )
        loss = losses.simsiam(
            one["prediction"], two["prediction"], one["projection"], two["projection"]
        )
        return loss, Aux(
            variables=variables,
            metrics={"embedding_std": losses.normalized_std(one["projection"])},
            carry={"features": one["features"]},
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the network on the whole images."""
        return branch_pass.features(
            self.network, state.params["online"], state.variables["online"], self.view, images
        )


def _with_constant_rate(player: Player, config: ConfigDict, task: Task) -> Player:
    """The player whose predictor learns by the same rule at a rate that never falls.

    The rule runs once for all parameters, at the constant rate, so that a limit on the gradient's
    norm is about all of it; what it gives the others is scaled down to their own rate.
    """
    constant = config.copy_and_resolve_references()
    constant.optimizer.update(schedule="constant", warmup_steps=0, warmup_epochs=0.0)
    steady = branch_pass.online_player(player.loss, constant, task)
    schedules = player.schedule, steady.schedule

    def share(step: Array) -> Array:
        falling, highest = (schedule(step) for schedule in schedules if schedule is not None)
        return falling / highest

    others = {"encoder": True, "projector": True, "predictor": False}
    slower = optax.masked(optax.scale_by_schedule(share), others)
    return dataclasses.replace(player, tx=optax.chain(steady.tx, slower))
