"""SwAV: the cluster of one crop of an image is predicted from its other crops.

Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, 2020.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import losses
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Task, TrainState
from ssljax.methods.joint_embedding import embedding_queue
from ssljax.methods.joint_embedding.multi_crop import MultiCrop
from ssljax.metrics import collapse_metrics
from ssljax.ops.normalize import l2_normalize

PyTree = Any
_CODED = 2
"""Only the first two crops, which are large, get codes."""


class SwAV(MultiCrop):
    """One player: encoder, projection head and prototypes. A queue of embeddings is memory."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ImageNet at batch 4096, which needs no queue."""
        config = MultiCrop.default_config()
        config.update(
            temperature=0.1,
            epsilon=0.05,
            sinkhorn_iterations=3,
            prototypes=3000,
            freeze_prototypes_epochs=1.0,
            queue_size=0,  # 3840 for batches of some hundreds.
            queue_start_epoch=15.0,
        )
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        method = self.config
        self.images = embedding_queue.images_per_update(method.queue_size, config, task)
        self.queue_start = round(method.queue_start_epoch * task.steps_per_epoch)
        self.queue_full = self.queue_start + method.queue_size // self.images
        player = passes.online_player(
            self.loss,
            config,
            task,
            frozen="^prototypes$",
            frozen_steps=round(method.freeze_prototypes_epochs * task.steps_per_epoch),
        )
        self.players = (dataclasses.replace(player, project=_project),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the encoder, the projector, random prototypes and an empty queue."""
        network_key, prototypes_key = jax.random.split(key)
        params, variables = passes.init(self.network, network_key, self.image_shape)
        dim = self.config.projector_dim
        prototypes = jax.random.normal(prototypes_key, (self.config.prototypes, dim))
        params = params | {"prototypes": l2_normalize(prototypes)}
        size = self.config.queue_size
        memory = {"queue": jnp.zeros((_CODED, size, dim))} if size else ()
        return {"online": params}, {"online": variables}, memory

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes two large crops of every image, and then the small ones."""
        return self.crops(key, batch)

    def loss(
        self,
        params: PyTree,
        state: TrainState,
        views: PyTree,
        key: PRNGKeyArray,
        carried: Mapping[str, PyTree],
    ) -> tuple[Array, Aux]:
        """Predicts the codes of each large crop from all other crops."""
        prototypes = params["prototypes"]
        crops, variables = passes.forward_crops(
            self.network, params, state.variables["online"], views, key
        )
        embeddings = [l2_normalize(crop["projection"]) for crop in crops]
        scores = [_scores(z, prototypes) for z in embeddings]
        codes = [self._codes(scores[i], i, prototypes, state) for i in range(_CODED)]
        loss = losses.swapped_prediction(scores, codes, self.config.temperature)
        metrics = collapse_metrics(embeddings[0], scores[0] / self.config.temperature)
        carry = {"features": crops[0]["features"], "embeddings": embeddings[:_CODED]}
        return loss, Aux(variables=variables, metrics=metrics, carry=carry)

    def _codes(
        self,
        scores: Float[Array, "batch prototypes"],
        crop: int,
        prototypes: Float[Array, "prototypes dim"],
        state: TrainState,
    ) -> Float[Array, "batch prototypes"]:
        """Balanced codes of one crop, over the batch and, once it is full, its queue."""

        def codes(queue_scores: Array | None = None) -> Array:
            return losses.sinkhorn_knopp(
                scores, self.config.epsilon, self.config.sinkhorn_iterations, queue_scores
            )

        if not self.config.queue_size:
            return codes()
        # The queue holds embeddings, not scores: the prototypes have moved on since.
        return lax.stop_gradient(
            lax.cond(
                state.step >= self.queue_full,
                lambda: codes(_scores(state.memory["queue"][crop], prototypes)),
                codes,
            )
        )

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Puts the embeddings of the large crops into the queue, from its first epoch on."""
        if not self.config.queue_size:
            return state
        steps = jnp.maximum(state.step - self.queue_start, 0)
        place = steps * self.images % self.config.queue_size
        queue = state.memory["queue"]
        newer = [
            losses.enqueue(queue[crop], place, carried["embeddings"][crop])[0]
            for crop in range(_CODED)
        ]
        begun = state.step >= self.queue_start
        return state.replace(memory={"queue": jnp.where(begun, jnp.stack(newer), queue)})


def _project(params: PyTree) -> PyTree:
    """The parameters with prototypes of length 1."""
    return params | {"prototypes": l2_normalize(params["prototypes"])}


def _scores(
    embeddings: Float[Array, "rows dim"], prototypes: Float[Array, "prototypes dim"]
) -> Float[Array, "rows prototypes"]:
    """Similarities of unit vectors. No gradient passes the prototypes' normalisation."""
    return jnp.matmul(embeddings, prototypes.T, precision=lax.Precision.HIGHEST)
