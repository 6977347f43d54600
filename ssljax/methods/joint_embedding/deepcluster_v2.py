"""DeepCluster-v2: every image has a cluster, found once an epoch, that each crop must predict.

Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, 2020,
appendix D: DeepCluster with the parts of SwAV.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import losses
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Feed, Task, TrainState, Turn
from ssljax.methods.joint_embedding.multi_crop import MultiCrop
from ssljax.metrics import collapse_metrics
from ssljax.ops.kmeans import spherical_kmeans
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.similarity import inner_products

PyTree = Any
_STORED = 2
"""Only the embeddings of the first two crops, which are large, are clustered."""


class DeepClusterV2(MultiCrop):
    """One player: encoder and projection head. The memory is that of the whole data set.

    It holds the embeddings of both large crops of every image as they were last made, the
    centroids, which get no gradient, and the images' clusters. The first epoch only fills it: no
    parameter moves, and the loss is 0. The authors do the same before they start to count. An image
    that no batch has held yet has no cluster; one that the last epoch left out keeps older
    embeddings, where the authors leave it without a cluster.

    The memory takes 8 * projector_dim bytes an image, on every device unless the mesh has an `fsdp`
    axis: 1.3 GB for ImageNet.
    """

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' values for ImageNet."""
        config = MultiCrop.default_config()
        config.update(
            temperature=0.1,
            prototypes=3000,
            clusterings=3,  # From seeds of their own, on the first and the second crop in turn.
            kmeans_iterations=10,
            clustering_epochs=1.0,  # From one clustering to the next.
        )
        return config

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        self.task = task
        self.period = max(1, round(self.config.clustering_epochs * task.steps_per_epoch))
        images = task.batch_size * config.optimizer.accumulate
        seen = min(task.num_images, self.period * images)
        if seen < self.config.prototypes:
            raise ValueError(
                f"The first clustering has {seen} images, fewer than "
                f"prototypes={self.config.prototypes}: choose fewer prototypes, or a larger "
                "clustering_epochs."
            )
        if task.total_steps <= self.period:
            raise ValueError(
                f"The first {self.period} train steps only fill the memory, and the run has "
                f"{task.total_steps}: make it longer, or clustering_epochs smaller."
            )
        player = passes.online_player(
            self.loss, config, task, frozen=None, frozen_steps=self.period
        )
        self.players = (player,)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes encoder, projector, random centroids, and a memory that knows no image."""
        network_key, centroids_key = jax.random.split(key)
        params, variables = passes.init(self.network, network_key, self.image_shape)
        clusterings, dim = self.config.clusterings, self.config.projector_dim
        shape = (clusterings, self.config.prototypes, dim)
        memory = {
            "embeddings": jnp.zeros((_STORED, self.task.num_images, dim)),
            "centroids": l2_normalize(jax.random.normal(centroids_key, shape)),
            "assignments": jnp.full((clusterings, self.task.num_images), -1, jnp.int32),
        }
        return {"online": params}, {"online": variables}, memory

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Images and their places in the data set."""
        return {"images": Feed(("image", "index"))}

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes the crops, together with the images' places in the data set."""
        return {"crops": self.crops(key, batch), "index": batch["images"]["index"]}

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Mean over the clusterings of the cross-entropy of all crops with the image's cluster."""
        crops, variables = passes.forward_crops(
            self.network, params, turn.state.variables["online"], turn.views["crops"], turn.key
        )
        embeddings = [l2_normalize(crop["projection"]) for crop in crops]
        assignments = turn.state.memory["assignments"][:, turn.views["index"]]
        loss = jnp.float32(0.0)
        for centroids, targets in zip(turn.state.memory["centroids"], assignments, strict=True):
            scores = [inner_products(z, centroids) for z in embeddings]
            loss += losses.deep_cluster(scores, targets, self.config.temperature)
        carry = {
            "features": crops[0]["features"],
            "embeddings": embeddings[:_STORED],
            "index": turn.views["index"],
            "key": turn.key[None],
        }
        first = inner_products(embeddings[0], turn.state.memory["centroids"][0])
        metrics = collapse_metrics(embeddings[0], first / self.config.temperature)
        return loss / self.config.clusterings, Aux(variables, metrics, carry)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Stores the embeddings of the large crops; at the end of a period, clusters them all."""
        embeddings = state.memory["embeddings"]
        newer = jnp.stack(carried["embeddings"])
        embeddings = embeddings.at[:, carried["index"]].set(newer)
        memory = state.memory | {"embeddings": embeddings}
        ends = (state.step + 1) % self.period == 0
        memory = lax.cond(ends, self._cluster, lambda memory, _: memory, memory, carried["key"][0])
        return state.replace(memory=memory)

    def _cluster(self, memory: dict[str, Array], key: PRNGKeyArray) -> dict[str, Array]:
        """The memory with new centroids and new clusters of all images."""
        # Every embedding has length 1, and what no batch has held yet is 0.
        known = jnp.any(memory["embeddings"][0] != 0, axis=1)
        found = []
        for number in range(self.config.clusterings):
            embeddings = memory["embeddings"][number % _STORED]
            # Without replacement: the images with the largest of as many random numbers.
            ranks = jax.random.uniform(jax.random.fold_in(key, number), known.shape)
            _, chosen = lax.top_k(jnp.where(known, ranks, -1.0), self.config.prototypes)
            found.append(
                spherical_kmeans(
                    embeddings, embeddings[chosen], self.config.kmeans_iterations, known
                )
            )
        centroids, assignments = (jnp.stack(parts) for parts in zip(*found, strict=True))
        return memory | {"centroids": centroids, "assignments": assignments}
