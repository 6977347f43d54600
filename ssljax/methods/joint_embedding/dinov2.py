"""DINOv2: iBOT with heads and codes of their own for class token and patches, and spread features.

Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, 2023.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import losses, models
from ssljax.augment import presets
from ssljax.losses.cross_view import cross_view_entropy
from ssljax.methods.contract import Aux, Task, Turn
from ssljax.methods.joint_embedding.masked_distillation import MaskedDistillation
from ssljax.metrics import collapse_metrics
from ssljax.ops.masking import blockwise_masks

PyTree = Any


class Hidden(NamedTuple):
    """What is hidden of each image's two large crops.

    Attributes:
      mask: True where a patch is hidden.
      crop: Which of the two it is hidden of.
      places: Places of that crop's hidden patches, filled up to one number.
      present: False for those that only fill up.
    """

    mask: Bool[Array, "batch 2 patches"]
    crop: Int[Array, "batch"]
    places: Int[Array, "batch most"]
    present: Bool[Array, "batch most"]


class DINOv2(MaskedDistillation):
    """One player, the student; the teacher is memory.

    Of every image one of the large crops, drawn by chance, has hidden patches: half of all, as in
    the authors' code, where any half of the batch's may be. Their layer-wise rates, their lower
    rate of the patch embedding and their perceptrons with gates are not offered.
    """

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ViT-L/14."""
        return ConfigDict(
            dict(
                student_temperature=0.1,
                teacher_temperature=0.07,
                teacher_warmup_temperature=0.04,
                teacher_warmup_epochs=30.0,
                sinkhorn_iterations=3,
                patch_weight=1.0,
                koleo_weight=0.1,  # Of either large crop, as in the code; the paper has the first.
                mask_ratios=(0.1, 0.5),  # Least and greatest share of patches that is hidden.
                momentum=0.994,  # At the start; it climbs to 1.
                freeze_last_layer_epochs=1.0,
                clip_each=3.0,  # Greatest norm of each parameter's gradient; 0: no limit.
                weight_decay_end=0.2,  # It starts at optimizer.weight_decay.
                projector_layers=3,
                projector_hidden_dim=2048,
                bottleneck_dim=384,
                patch_bottleneck_dim=256,
                out_dim=131072,
                patch_out_dim=131072,
                local_crops=8,
                view1=ConfigDict(dataclasses.asdict(presets.dino(224, (0.32, 1.0), 1.0))),
                view2=ConfigDict(dataclasses.asdict(presets.dino(224, (0.32, 1.0), 0.1, 0.2))),
                local_view=ConfigDict(dataclasses.asdict(presets.dino(98, (0.05, 0.32), 0.5))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method

        def head(bottleneck_dim: int, out_dim: int) -> models.DinoHead:
            return models.DinoHead(
                num_layers=method.projector_layers,
                hidden_dim=method.projector_hidden_dim,
                bottleneck_dim=bottleneck_dim,
                out_dim=out_dim,
                dtype=config.model.encoder.dtype,
            )

        super().__init__(
            config,
            task,
            head(method.bottleneck_dim, method.out_dim),
            head(method.patch_bottleneck_dim, method.patch_out_dim),
        )

    def hidden(self, key: PRNGKeyArray, batch: int) -> Hidden:
        """Draws what is hidden; the shares of a batch lie evenly between least and greatest."""
        patches, (low, high) = self.grid[0] * self.grid[1], self.config.mask_ratios
        crop_key, order_key, ratio_key, block_key = jax.random.split(key, 4)
        crop = jax.random.bernoulli(crop_key, shape=(batch,)).astype(jnp.int32)
        order = jax.random.permutation(order_key, batch).astype(jnp.float32)
        share = (order + jax.random.uniform(ratio_key, (batch,))) / batch
        counts = jnp.floor((low + (high - low) * share) * patches)
        mask = blockwise_masks(block_key, counts, self.grid, smallest=4)
        places = jnp.argsort(~mask, axis=1)[:, : max(int(high * patches), 1)]
        which = jax.nn.one_hot(crop, 2, dtype=bool)
        return Hidden(
            mask[:, None] & which[:, :, None],
            crop,
            places,
            jnp.take_along_axis(mask, places, axis=1),
        )

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Cross-entropies with the teacher's codes, of crops and of hidden patches, and KoLeo."""
        mask_key, drop_key = jax.random.split(turn.key)
        method, memory, step = self.config, turn.state.memory, turn.state.step
        hidden = self.hidden(mask_key, len(turn.views[0]))

        def select(tokens: Array) -> Array:
            return jax.vmap(lambda x, crop, places: x[crop][places])(
                tokens, hidden.crop, hidden.places
            )

        teacher = self.outputs(memory["teacher"], turn.views, select)
        student = self.outputs(params, turn.views, select, hidden.mask, drop_key)
        temperature = self.warmed_up(
            method.teacher_warmup_temperature, method.teacher_temperature, step
        )
        codes = self._codes(teacher["logits"], temperature)
        crops = jnp.moveaxis(student["logits"], 1, 0)
        whole = cross_view_entropy(jnp.moveaxis(codes, 1, 0), crops, method.student_temperature)
        patch_codes = self._codes(teacher["patch_logits"], temperature, hidden.present)
        # Nothing is hidden of the other large crops, which count all the same.
        patch = 0.5 * losses.masked_patch_entropy(
            patch_codes, student["patch_logits"], hidden.present, method.student_temperature
        )
        spread = losses.koleo(student["features"][:, 0]) + losses.koleo(student["features"][:, 1])
        loss = whole + method.patch_weight * patch + method.koleo_weight * spread
        assigned = jnp.log(jnp.maximum(codes[:, 0], 1e-30))
        gauges = collapse_metrics(student["bottleneck"][:, 0], assigned) | {
            "class_loss": whole,
            "patch_loss": patch,
            "koleo": spread,
            "teacher_temperature": temperature,
            "momentum": self.momentum(step),
        }
        return loss, Aux(metrics=gauges, carry={"features": student["features"][:, 0]})

    def _codes(
        self, logits: Array, temperature: Array, present: Bool[Array, "batch most"] | None = None
    ) -> Array:
        """Codes that use all prototypes equally, over all rows of the batch together."""
        codes = losses.sinkhorn_knopp(
            logits.reshape(-1, logits.shape[-1]),
            temperature,
            self.config.sinkhorn_iterations,
            present=None if present is None else present.reshape(-1),
        )
        return codes.reshape(logits.shape)
