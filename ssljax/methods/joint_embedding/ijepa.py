"""I-JEPA: from one part of an image a predictor tells what a slower encoder makes of other parts.

Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture,
2023.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, metrics, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState, Turn
from ssljax.methods.joint_embedding import target_network
from ssljax.ops.masking import Blocks, context_and_targets

PyTree = Any


class Networks(NamedTuple):
    """What is trained.

    Attributes:
      encoder: The context encoder.
      predictor: From its tokens to those of the target encoder.
    """

    encoder: models.VisionTransformer
    predictor: models.LatentPredictor


class IJEPA(Method):
    """One player, the context encoder with the predictor; the target encoder is memory.

    The parameters of all blocks' layers start with deviation 0.02, as the authors' do in the end,
    and the warm-up begins at 0, where theirs begins at a fifth of the highest rate.
    """

    roles: ClassVar = {"encoder": models.ENCODER}
    evaluated = "target encoder"

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ViT-H/14 on ImageNet."""
        return ConfigDict(
            dict(
                target_blocks=4,
                target_scale=(0.15, 0.2),  # Shares of all patches.
                target_aspect=(0.75, 1.5),
                context_scale=(0.85, 1.0),
                context_capacity=0.5,  # Patches beyond this share of all are dropped at random.
                least_context=10,  # Patches.
                predictor_dim=384,
                predictor_depth=12,
                predictor_heads=16,  # As many as the encoder's.
                momentum=0.996,  # At the start; it climbs to 1.
                weight_decay_end=0.4,  # It starts at optimizer.weight_decay.
                view=ConfigDict(dataclasses.asdict(presets.ijepa(224))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.config = method
        self.task = task
        encoder = models.vision_transformer("ijepa", config.model.encoder)
        self.view = augment.view_from_config(method.view)
        self.policies = [(self.view, 1)]
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        self.grid = models.patch_grid((1, *self.image_shape), encoder.patch_size)
        encoder = encoder.clone(
            positions=config.model.encoder.get("positions") or "sincos",
            pool=config.model.encoder.get("pool") or "mean",
        )
        predictor = models.LatentPredictor(
            out_dim=encoder.dim,
            dim=method.predictor_dim,
            depth=method.predictor_depth,
            heads=method.predictor_heads,
            dtype=encoder.dtype,
        )
        self.network = Networks(encoder, predictor)
        self.target_encoder = target_network.without_drop_path(encoder)
        player = passes.online_player(
            self.loss,
            config,
            task,
            frozen=None,
            frozen_steps=0,
            weight_decay_end=method.weight_decay_end,
        )
        self.players = (player,)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the context encoder, the predictor, and the target encoder as the former's copy."""
        encoder_key, predictor_key = jax.random.split(key)
        encoder, _ = passes.init(self.network.encoder, encoder_key, self.image_shape)
        blocks = self.blocks(key, 1)
        tokens = jnp.zeros((*blocks.context.shape, self.network.encoder.dim))
        predictor = self.network.predictor.init(predictor_key, tokens, *blocks, self.grid, False)[
            "params"
        ]
        target = {"encoder": jax.tree.map(jnp.copy, encoder)}
        return {"online": {"encoder": encoder, "predictor": predictor}}, {}, {"target": target}

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes one view of every image."""
        return augment.make_view(self.view, key, batch["images"])

    def blocks(self, key: PRNGKeyArray, batch: int) -> Blocks:
        """Draws context and targets of each image of a batch."""
        method = self.config
        return context_and_targets(
            key,
            batch,
            self.grid,
            blocks=method.target_blocks,
            target_scale=tuple(method.target_scale),
            target_aspect=tuple(method.target_aspect),
            context_scale=tuple(method.context_scale),
            capacity=method.context_capacity,
            least=method.least_context,
        )

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Smooth error of the predicted tokens of every target."""
        block_key, drop_key = jax.random.split(turn.key)
        blocks = self.blocks(block_key, len(turn.views))
        outputs: Any = self.network.encoder.apply(
            {"params": params["encoder"]},
            turn.views,
            train=True,
            visible=blocks.context,
            present=blocks.context_present,
            rngs={"drop_path": drop_key},
        )
        predicted: Any = self.network.predictor.apply(
            {"params": params["predictor"]}, outputs["tokens"], *blocks, self.grid, train=True
        )
        whole: Any = self.target_encoder.apply(
            {"params": turn.state.memory["target"]["encoder"]}, turn.views, train=False
        )
        tokens = whole["tokens"].reshape(len(turn.views), -1, self.network.encoder.dim)
        target = jax.vmap(lambda tokens, places: tokens[places])(tokens, blocks.targets)
        loss = losses.latent_smooth_l1(predicted, target, blocks.targets_present)
        seen = jnp.mean(jnp.sum(blocks.context_present, axis=1).astype(jnp.float32))
        gauges = metrics.collapse_metrics(outputs["features"]) | {
            "context": seen,
            "momentum": self.momentum(turn.state.step),
        }
        return loss, Aux(metrics=gauges, carry={"features": outputs["features"]})

    def momentum(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Share of the old value in the target encoder's step."""
        return target_network.linear_momentum(self.config.momentum, step, self.task.total_steps)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Moves the target encoder towards the context encoder."""
        target = target_network.follow(
            state.memory["target"], state.params["online"], self.momentum(state.step)
        )
        return state.replace(memory=state.memory | {"target": target})

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the target encoder on the whole images."""
        encoder = state.memory["target"]["encoder"]
        return passes.features(self.target_encoder, encoder, {}, self.view, images)

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The target encoder."""
        return state.memory["target"], {}
