"""NNCLR: an image's positive is the nearest neighbour of its other view among earlier images.

Dwibedi et al., With a Little Help from My Friends, 2021.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.losses.similarity import l2_normalize
from ssljax.methods import branch_pass
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState

PyTree = Any


class NNCLR(Method):
    """One player, encoder, projector and predictor; the queue of projections is memory."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet."""
        first, second = presets.byol(224)
        return ConfigDict(
            dict(
                temperature=0.1,
                queue_size=65536,
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
        if method.queue_size % task.batch_size:
            raise ValueError(
                f"method.queue_size={method.queue_size} is not a multiple of the batch of "
                f"{task.batch_size} images: change one of the two."
            )
        self.temperature = method.temperature
        self.queue_shape = (method.queue_size, method.projector_dim)
        self.view1 = augment.view_from_config(method.view1)
        self.view2 = augment.view_from_config(method.view2)
        self.image_shape = (self.view1.size, self.view1.size, task.image_shape[-1])
        self.network = models.Branch(
            encoder=models.encoder_from_config(config.model),
            projector=models.ProjectionHead(
                num_layers=method.projector_layers,
                hidden_dim=method.projector_hidden_dim,
                out_dim=method.projector_dim,
                last_bn_affine="full",
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
        self.players = (branch_pass.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the network and a queue of random directions."""
        network_key, queue_key = jax.random.split(key)
        params, variables = branch_pass.init(self.network, network_key, self.image_shape)
        memory = {
            "queue": l2_normalize(jax.random.normal(queue_key, self.queue_shape)),
            "pointer": jnp.zeros((), jnp.int32),
        }
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
        """Mean of both directions; the neighbours come from the queue before this batch."""
        queue = state.memory["queue"]
        (one, two), variables = branch_pass.forward_together(
            self.network, params, state.variables["online"], views
        )
        neighbors1 = losses.nearest_neighbors(one["projection"], queue)
        neighbors2 = losses.nearest_neighbors(two["projection"], queue)
        loss = losses.nnclr(neighbors1, two["prediction"], self.temperature)
        loss += losses.nnclr(neighbors2, one["prediction"], self.temperature)
        return loss / 2, Aux(
            variables=variables,
            metrics={"embedding_std": losses.normalized_std(one["projection"])},
            carry={"features": one["features"], "projection": l2_normalize(one["projection"])},
        )

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Puts the first view's projections over the oldest ones of the queue."""
        queue, pointer = losses.enqueue(
            state.memory["queue"], state.memory["pointer"], carried["projection"]
        )
        return state.replace(memory={"queue": queue, "pointer": pointer})

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the network on the whole images."""
        return branch_pass.features(
            self.network, state.params["online"], state.variables["online"], self.view1, images
        )
