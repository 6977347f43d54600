"""MoCo: a query is matched with its key, from a slower network, among the keys of earlier batches.

He et al., Momentum Contrast for Unsupervised Visual Representation Learning, 2020 (v1), and Chen et
al., Improved Baselines with Momentum Contrastive Learning, 2020 (v2: MLP head, more augmentation).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import losses, metrics, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Task, TrainState, Turn
from ssljax.methods.joint_embedding import embedding_queue, target_network
from ssljax.methods.joint_embedding.two_view import TwoView
from ssljax.ops.normalize import l2_normalize
from ssljax.ops.queue import enqueue, random_directions

PyTree = Any


class MoCo(TwoView):
    """One player, the query encoder; the key encoder and the queue of its keys are memory.

    The query is of the first view, the key of the second.
    """

    keeps_target = True

    @staticmethod
    def default_config() -> ConfigDict:
        """The values of v2 for ImageNet; v1 has one layer, temperature 0.07 and its own view."""
        return ConfigDict(
            dict(
                temperature=0.2,
                momentum=0.999,
                queue_size=65536,
                # v1: one linear layer; v2: two. The hidden layer is as wide as the features.
                projector_layers=2,
                projector_dim=128,
                # Batch statistics are taken over parts of the batch, other parts for keys than for
                # queries, or the statistics would tell which key belongs to a query. 1: the whole.
                bn_groups=8,
                # Whether either view is once the query and once the key; the losses are summed.
                symmetric=False,
                view=ConfigDict(dataclasses.asdict(presets.moco_v2(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        embedding_queue.images_per_update(method.queue_size, config, task)
        if task.batch_size % method.bn_groups:
            raise ValueError(
                f"method.bn_groups={method.bn_groups} does not divide the batch of "
                f"{task.batch_size} images: change one of the two."
            )
        self.temperature = method.temperature
        self.momentum = method.momentum
        self.queue_shape = (method.queue_size, method.projector_dim)
        self.groups = method.bn_groups
        self.symmetric = method.symmetric
        projector = models.ProjectionHead(
            num_layers=method.projector_layers,
            out_dim=method.projector_dim,
            batch_norm=False,
            last_batch_norm=False,
            dtype=config.model.encoder.dtype,
        )
        split: dict[str, Any] = {}
        if self.groups > 1:
            split["norm"] = functools.partial(models.BatchNorm, groups=self.groups)
        super().__init__(config, task, projector, **split)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the query encoder, its copy, and a queue of random directions."""
        network_key, queue_key = jax.random.split(key)
        params, variables, memory = super().init(network_key)
        queue = random_directions(queue_key, *self.queue_shape)
        return params, variables, memory | queue

    def before_step(self, state: TrainState) -> TrainState:
        """Moves the key encoder towards the query encoder, before it computes the keys."""
        target = target_network.follow(
            state.memory["target"], state.params["online"], self.momentum
        )
        return state.replace(memory=state.memory | {"target": target})

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """InfoNCE of each query with its key and the queue, as it was before this step."""
        memory = turn.state.memory
        queries, variables = passes.forward_each(
            self.network,
            params,
            turn.state.variables["online"],
            turn.views if self.symmetric else turn.views[:1],
            turn.key,
        )
        keys, target_variables = self.keys(
            memory["target"],
            memory["target_variables"],
            turn.views[::-1] if self.symmetric else turn.views[1:],
        )
        directions = [
            losses.info_nce_queue(query["projection"], match, memory["queue"], self.temperature)
            for query, match in zip(queries, keys, strict=True)
        ]
        return jnp.sum(jnp.stack(directions)), Aux(
            variables=variables,
            metrics=metrics.collapse_metrics(queries[0]["projection"]),
            carry={"features": queries[0]["features"], "keys": keys},
            memory={"target_variables": target_variables},
        )

    def keys(
        self,
        target: PyTree,
        target_variables: Mapping[str, PyTree],
        views: Sequence[Float[Array, "batch height width channels"]],
    ) -> tuple[list[Float[Array, "batch dim"]], PyTree]:
        """Makes the keys of each view, with batch statistics over other groups than the queries'.

        Returns:
          The keys at length 1, in the order of the images, and the key encoder's collections.
        """
        outputs, target_variables = passes.forward_each(
            self.target_network,
            target,
            target_variables,
            [regroup(view, self.groups) for view in views],
        )
        projections = [regroup(output["projection"], self.groups, back=True) for output in outputs]
        return [l2_normalize(projection) for projection in projections], target_variables

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Puts the keys over the oldest ones of the queue."""
        queue, pointer = state.memory["queue"], state.memory["pointer"]
        for keys in carried["keys"]:
            queue, pointer = enqueue(queue, pointer, keys)
        return state.replace(memory=state.memory | {"queue": queue, "pointer": pointer})


def regroup(x: Float[Array, "batch ..."], groups: int, back: bool = False) -> Array:
    """Reorders a batch so that `BatchNorm(groups)` normalises every image with other images.

    Of the batch as rows of `groups` images, whose columns are the norm's groups, row r is turned by
    r places: columns become diagonals. An image then shares its group with few of its former
    neighbours, as few as after MoCo's shuffling over devices, and no image changes its device if
    `groups` divides each device's part of the batch.

    Args:
      x: Images or embeddings; `groups` divides the batch.
      groups: Number of groups.
      back: Whether to undo the reordering.

    Returns:
      The same rows in their new order.
    """
    rows = x.shape[0] // groups
    shift = jnp.arange(rows)[:, None] * (-1 if back else 1)
    source = (jnp.arange(groups)[None] + shift) % groups
    grid = x.reshape(rows, groups, *x.shape[1:])
    source = source.reshape(rows, groups, *[1] * (x.ndim - 1))
    return jnp.take_along_axis(grid, source, axis=1).reshape(x.shape)
