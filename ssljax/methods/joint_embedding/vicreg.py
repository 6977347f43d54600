"""VICReg: embeddings of two views agree, vary over the batch, and do not repeat themselves.

Bardes et al., VICReg: Variance-Invariance-Covariance Regularization, 2022.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxtyping import Array
from ml_collections import ConfigDict

from ssljax import losses, metrics, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Task, Turn
from ssljax.methods.joint_embedding.two_view import TwoView

PyTree = Any


class VICReg(TwoView):
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
        projector = models.ProjectionHead(
            num_layers=method.projector_layers,
            hidden_dim=method.projector_hidden_dim,
            out_dim=method.projector_dim,
            last_batch_norm=False,
            last_bias=False,
            dtype=config.model.encoder.dtype,
        )
        super().__init__(config, task, projector)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The three terms, weighted; each view has its own pass."""
        (one, two), variables = passes.forward_each(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
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
            metrics=terms | metrics.collapse_metrics(one["projection"]),
            carry={"features": one["features"]},
        )
