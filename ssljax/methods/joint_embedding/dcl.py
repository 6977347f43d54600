"""DCL: SimCLR with the positive pair left out of the negatives.

Yeh et al., Decoupled Contrastive Learning, 2022.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import losses, metrics, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Task, Turn
from ssljax.methods.joint_embedding.two_view import TwoView

PyTree = Any


class DCL(TwoView):
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
                view=ConfigDict(dataclasses.asdict(presets.simclr(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.temperature = method.temperature
        self.weighted = method.weighted
        self.sigma = method.sigma
        projector = models.ProjectionHead(
            num_layers=method.projector_layers,
            out_dim=method.projector_dim,
            kernel_init=nn.initializers.normal(0.01),
            dtype=config.model.encoder.dtype,
        )
        super().__init__(config, task, projector)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """DCL or DCLW of the two views' projections, with batch statistics over both views."""
        (one, two), variables = passes.forward_together(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
        )
        z1, z2 = one["projection"], two["projection"]
        if self.weighted:
            loss = losses.dclw(z1, z2, self.temperature, self.sigma)
        else:
            loss = losses.dcl(z1, z2, self.temperature)
        return loss, Aux(
            variables=variables,
            metrics=metrics.collapse_metrics(z1),
            carry={"features": one["features"]},
        )
