"""SimCLR: two views of an image agree, against all other images of the batch.

Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020 (v1), and
Big Self-Supervised Models are Strong Semi-Supervised Learners, 2020 (v2: three-layer head).
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


class SimCLR(TwoView):
    """One player, the encoder with its projection head, and NT-Xent over the global batch."""

    contrasts_batch = True

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet."""
        return ConfigDict(
            dict(
                temperature=0.1,
                # v1: two layers; v2: three. The hidden layers are as wide as the features.
                projector_layers=2,
                projector_dim=128,
                view=ConfigDict(dataclasses.asdict(presets.simclr(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        self.temperature = config.method.temperature
        projector = models.ProjectionHead(
            num_layers=config.method.projector_layers,
            out_dim=config.method.projector_dim,
            kernel_init=nn.initializers.normal(0.01),
            dtype=config.model.encoder.dtype,
        )
        super().__init__(config, task, projector)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """NT-Xent of the two views' projections, with batch statistics over both views."""
        (one, two), variables = passes.forward_together(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
        )
        loss = losses.nt_xent(one["projection"], two["projection"], self.temperature)
        return loss, Aux(
            variables=variables,
            metrics=metrics.collapse_metrics(one["projection"]),
            carry={"features": one["features"]},
        )
