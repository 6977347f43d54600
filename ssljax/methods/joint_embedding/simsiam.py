"""SimSiam: one view's prediction is close to the other's projection, which takes no gradient.

Chen and He, Exploring Simple Siamese Representation Learning, 2021.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import optax
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import losses, metrics, models, optimizers
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Player, Task, Turn
from ssljax.methods.joint_embedding.two_view import TwoView

PyTree = Any
_PREDICTOR = {"encoder": False, "projector": False, "predictor": True}


class SimSiam(TwoView):
    """One player, encoder, projector and predictor; no negatives and no second network."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet; its encoder has `zero_init_residual`."""
        return ConfigDict(
            dict(
                projector_layers=3,  # CIFAR: 2.
                projector_hidden_dim=2048,
                projector_dim=2048,
                predictor_hidden_dim=512,
                # Whether the predictor keeps the highest learning rate from the first step on.
                predictor_constant_rate=True,
                # The predictor's learning rate over that of the others. Where BYOL's paper has no
                # target network, which is SimSiam, it takes 10.
                predictor_rate=1.0,
                view=ConfigDict(dataclasses.asdict(presets.moco_v2(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
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
            last_batch_norm=False,
            dtype=config.model.encoder.dtype,
        )
        super().__init__(config, task, projector, predictor)
        (player,) = self.players
        if method.predictor_constant_rate:
            player = _with_constant_rate(player, config, task)
        faster = optax.masked(optax.scale(method.predictor_rate), _PREDICTOR)
        self.players = (dataclasses.replace(player, tx=optax.chain(player.tx, faster)),)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Mean of both directions' negative cosine; either view has a pass of its own.

        Collapse is gauged on the predictions: the norm that ends the projector hides it there.
        """
        (one, two), variables = passes.forward_each(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
        )
        loss = losses.simsiam(
            one["prediction"], two["prediction"], one["projection"], two["projection"]
        )
        return loss, Aux(
            variables=variables,
            metrics=metrics.collapse_metrics(one["prediction"]),
            carry={"features": one["features"]},
        )


def _with_constant_rate(player: Player, config: ConfigDict, task: Task) -> Player:
    """The player whose predictor learns by the same rule at a rate that never falls.

    The rule runs once for all parameters, at the constant rate, so that a limit on the gradient's
    norm is about all of it; what it gives the others is scaled down to their own rate.
    """
    constant = config.copy_and_resolve_references()
    constant.optimizer.update(schedule="constant", warmup_steps=0, warmup_epochs=0.0)
    steady = passes.online_player(player.loss, constant, task)
    schedules = player.schedule, steady.schedule

    def share(step: Array) -> Array:
        falling, highest = (schedule(step) for schedule in schedules if schedule is not None)
        return falling / highest

    others = {name: not chosen for name, chosen in _PREDICTOR.items()}
    slower = optax.masked(optimizers.scale_by_step(share), others)
    return dataclasses.replace(player, tx=optax.chain(steady.tx, slower))
