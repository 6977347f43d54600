"""LeJEPA: all views of an image tell the mean of the large ones, and embeddings are Gaussian.

Balestriero and LeCun, LeJEPA: Provable and Scalable Self-Supervised Learning Without the
Heuristics, 2025.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import losses, metrics
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Task, Turn
from ssljax.methods.joint_embedding.multi_crop import MultiCrop

PyTree = Any


class LeJEPA(MultiCrop):
    """One player, encoder and projector: no teacher, no target, no memory."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' values: README.md and MINIMAL.md of rbalestr-lab/lejepa."""
        return ConfigDict(
            dict(
                lambd=0.05,  # Weight of SIGReg; the prediction has the rest. MINIMAL.md: 0.02.
                slices=1024,
                knots=17,
                knot_limit=3.0,
                projector_hidden_dim=2048,
                projector_dim=128,
                local_crops=6,
                view=ConfigDict(dataclasses.asdict(presets.lejepa(224, (0.3, 1.0)))),
                local_view=ConfigDict(dataclasses.asdict(presets.lejepa(98, (0.05, 0.3)))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task, projector_layers=3)
        self.players = (passes.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes encoder and projector."""
        params, variables = passes.init(self.network, key, self.image_shape)
        return {"online": params}, {"online": variables}, ()

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes two large crops of every image, and then the small ones."""
        return self.crops(key, batch)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Prediction of the large crops' mean, and SIGReg of each view on its own."""
        slice_key, drop_key = jax.random.split(turn.key)
        crops, variables = passes.forward_crops(
            self.network, params, turn.state.variables["online"], turn.views, drop_key
        )
        method, projections = self.config, [crop["projection"] for crop in crops]
        prediction = losses.mean_view_prediction(projections)
        # All views are measured along the same directions, which differ from step to step.
        statistics = [
            losses.sigreg(x, slice_key, method.slices, method.knots, method.knot_limit)
            for x in projections
        ]
        gaussian = jnp.mean(jnp.stack(statistics))
        loss = (1.0 - method.lambd) * prediction + method.lambd * gaussian
        gauges = metrics.collapse_metrics(projections[0])
        return loss, Aux(
            variables=variables,
            metrics={"prediction": prediction, "sigreg": gaussian} | gauges,
            carry={"features": crops[0]["features"]},
        )
