"""Barlow Twins: the cross-correlation of two views' embeddings is close to the identity.

Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy Reduction, 2021.
"""

from __future__ import annotations

import dataclasses
import operator
from typing import Any

import jax
import optax
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import losses, metrics, models, optimizers
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Task, Turn
from ssljax.methods.joint_embedding.two_view import TwoView

PyTree = Any


class BarlowTwins(TwoView):
    """One player, encoder and projector, and the correlation over the global batch."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet."""
        first, second = presets.byol(224)
        return ConfigDict(
            dict(
                lambd=0.0051,
                projector_layers=3,
                projector_hidden_dim=8192,
                projector_dim=8192,
                # Learning rate of biases and norms, as a share of the optimizer's.
                bias_rate=0.0048 / 0.2,
                view1=ConfigDict(dataclasses.asdict(first)),
                view2=ConfigDict(dataclasses.asdict(second)),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.lambd = method.lambd
        projector = models.ProjectionHead(
            num_layers=method.projector_layers,
            hidden_dim=method.projector_hidden_dim,
            out_dim=method.projector_dim,
            last_batch_norm=False,
            last_bias=False,
            dtype=config.model.encoder.dtype,
        )
        super().__init__(config, task, projector)
        (player,) = self.players
        slower = optax.masked(optax.scale(method.bias_rate), _norms_and_biases)
        self.players = (dataclasses.replace(player, tx=optax.chain(player.tx, slower)),)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Distance of the views' cross-correlation from the identity; each has its own pass."""
        (one, two), variables = passes.forward_each(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
        )
        loss = losses.barlow_twins(one["projection"], two["projection"], self.lambd)
        return loss, Aux(
            variables=variables,
            metrics=metrics.collapse_metrics(one["projection"]),
            carry={"features": one["features"]},
        )


def _norms_and_biases(params: PyTree) -> PyTree:
    """Marks the biases and the norms' parameters."""
    others = optimizers.name_mask((optimizers.NORMS_AND_BIASES,))(params)
    return jax.tree.map(operator.not_, others)
