"""NNCLR: an image's positive is the nearest neighbour of its other view among earlier images.

Dwibedi et al., With a Little Help from My Friends, 2021.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import losses, metrics, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Task, TrainState, Turn
from ssljax.methods.joint_embedding import embedding_queue
from ssljax.methods.joint_embedding.two_view import TwoView
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.queue import enqueue, random_directions

PyTree = Any


class NNCLR(TwoView):
    """One player, encoder, projector and predictor; the queue of projections is memory."""

    contrasts_batch = True

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet."""
        first, second = presets.byol(224)
        return ConfigDict(
            dict(
                temperature=0.1,
                queue_size=98304,  # The best of the paper; lightly and solo-learn have 65536.
                projector_layers=3,
                projector_hidden_dim=2048,
                projector_dim=256,
                predictor_hidden_dim=4096,
                view1=ConfigDict(dataclasses.asdict(first)),
                view2=ConfigDict(dataclasses.asdict(second)),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        embedding_queue.images_per_update(method.queue_size, config, task)
        self.temperature = method.temperature
        self.queue_shape = (method.queue_size, method.projector_dim)
        projector = models.ProjectionHead(
            num_layers=method.projector_layers,
            hidden_dim=method.projector_hidden_dim,
            out_dim=method.projector_dim,
            last_bn_affine="full",
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

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the network and a queue of random directions."""
        network_key, queue_key = jax.random.split(key)
        params, variables, _ = super().init(network_key)
        return params, variables, random_directions(queue_key, *self.queue_shape)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Mean of both directions; the neighbours come from the queue before this step."""
        queue = turn.state.memory["queue"]
        (one, two), variables = passes.forward_together(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
        )
        neighbors1 = losses.nearest_neighbors(one["projection"], queue)
        neighbors2 = losses.nearest_neighbors(two["projection"], queue)
        loss = losses.nnclr(neighbors1, two["prediction"], self.temperature)
        loss += losses.nnclr(neighbors2, one["prediction"], self.temperature)
        return loss / 2, Aux(
            variables=variables,
            metrics=metrics.collapse_metrics(one["projection"]),
            carry={"features": one["features"], "projection": l2_normalize(one["projection"])},
        )

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Puts the first view's projections over the oldest ones of the queue."""
        queue, pointer = enqueue(
            state.memory["queue"], state.memory["pointer"], carried["projection"]
        )
        return state.replace(memory={"queue": queue, "pointer": pointer})
