"""iBOT: DINO, and the same for the patches that are hidden from the student.

Zhou et al., iBOT: Image BERT Pre-Training with Online Tokenizer, 2022.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import losses, models
from ssljax.augment import presets
from ssljax.methods.contract import Aux, Task, TrainState, Turn
from ssljax.methods.joint_embedding.masked_distillation import MaskedDistillation
from ssljax.metrics import collapse_metrics
from ssljax.ops.masking import blockwise_masks

PyTree = Any


class IBOT(MaskedDistillation):
    """One player, the student; the teacher and two centres of its logits are memory.

    One head serves the class token and the patches. The gain of its last layer is fixed, which the
    authors do for ViT-B and not for ViT-S.
    """

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ViT-S/16 on ImageNet."""
        return ConfigDict(
            dict(
                student_temperature=0.1,
                teacher_temperature=0.07,
                teacher_warmup_temperature=0.04,
                teacher_warmup_epochs=30.0,
                patch_temperature=0.07,  # Of the teacher, after the same warm-up.
                patch_weight=1.0,
                mask_probability=0.5,  # That anything is hidden of a large crop.
                mask_ratios=(0.1, 0.5),  # Share of its patches that is hidden then.
                momentum=0.996,  # At the start; it climbs to 1.
                center_momentum=0.9,
                freeze_last_layer_epochs=1.0,
                clip_each=3.0,  # Greatest norm of each parameter's gradient; 0: no limit.
                weight_decay_end=0.4,  # It starts at optimizer.weight_decay.
                projector_layers=3,
                projector_hidden_dim=2048,
                bottleneck_dim=256,
                out_dim=8192,
                local_crops=10,  # With 0, give both views a crop_scale of (0.14, 1.0).
                view1=ConfigDict(dataclasses.asdict(presets.dino(224, (0.25, 1.0), 1.0))),
                view2=ConfigDict(dataclasses.asdict(presets.dino(224, (0.25, 1.0), 0.1, 0.2))),
                local_view=ConfigDict(dataclasses.asdict(presets.dino(96, (0.05, 0.25), 0.5))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        head = models.DinoHead(
            num_layers=method.projector_layers,
            hidden_dim=method.projector_hidden_dim,
            bottleneck_dim=method.bottleneck_dim,
            out_dim=method.out_dim,
            dtype=config.model.encoder.dtype,
        )
        super().__init__(config, task, head)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the student, the teacher as its copy, and the centres at zero."""
        params, variables, memory = super().init(key)
        centers = {name: jnp.zeros(self.config.out_dim) for name in ("center", "patch_center")}
        return params, variables, memory | centers

    def masks(self, key: PRNGKeyArray, batch: int) -> Bool[Array, "batch 2 patches"]:
        """What is hidden of each image's two large crops."""
        patches, (low, high) = self.grid[0] * self.grid[1], self.config.mask_ratios
        some_key, ratio_key, block_key = jax.random.split(key, 3)
        some = jax.random.bernoulli(some_key, self.config.mask_probability, (2 * batch,))
        ratios = jax.random.uniform(ratio_key, (2 * batch,), minval=low, maxval=high)
        counts = jnp.where(some, ratios * patches, 0.0)
        smallest = max((min(self.grid) // 3) ** 2, 1)
        return blockwise_masks(block_key, counts, self.grid, smallest).reshape(batch, 2, -1)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Cross-entropies with the teacher: of the other large crop, and of hidden patches."""
        mask_key, drop_key = jax.random.split(turn.key)
        method, memory, step = self.config, turn.state.memory, turn.state.step
        mask = self.masks(mask_key, len(turn.views[0]))
        teacher = self.outputs(memory["teacher"], turn.views, lambda tokens: tokens)
        student = self.outputs(params, turn.views, lambda tokens: tokens, mask, drop_key)
        start = method.teacher_warmup_temperature
        temperature = self.warmed_up(start, method.teacher_temperature, step)
        patch_temperature = self.warmed_up(start, method.patch_temperature, step)
        crops = jnp.moveaxis(student["logits"], 1, 0)
        logits = jnp.moveaxis(teacher["logits"], 1, 0)
        whole = losses.dino_loss(
            crops, logits, memory["center"], method.student_temperature, temperature
        )
        center = memory["patch_center"][None, None, None]
        centred = teacher["patch_logits"].astype(jnp.float32) - center
        hidden = losses.masked_patch_entropy(
            _flat(jax.nn.softmax(centred / patch_temperature)),
            _flat(student["patch_logits"]),
            _flat(mask),
            method.student_temperature,
        )
        assigned = (logits[0] - memory["center"][None]) / temperature
        gauges = collapse_metrics(student["bottleneck"][:, 0], assigned) | {
            "class_loss": whole,
            "patch_loss": hidden,
            "teacher_temperature": temperature,
            "momentum": self.momentum(step),
        }
        # All logits of an update's batches would take much memory.
        means = {
            "logits": jnp.mean(logits.astype(jnp.float32), axis=(0, 1))[None],
            "patch_logits": jnp.mean(teacher["patch_logits"].astype(jnp.float32), axis=(0, 1, 2))[
                None
            ],
        }
        carry = {"features": student["features"][:, 0]} | means
        return whole + method.patch_weight * hidden, Aux(metrics=gauges, carry=carry)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Moves the teacher towards the student, and the centres towards their logits' means."""
        state = super().after_step(state, carried)
        centers = {
            name: losses.update_center(
                state.memory[name], [carried[logits]], self.config.center_momentum
            )
            for name, logits in (("center", "logits"), ("patch_center", "patch_logits"))
        }
        return state.replace(memory=state.memory | centers)


def _flat(x: Array) -> Array:
    """Both large crops of every image, side by side in one batch."""
    return x.reshape(-1, *x.shape[2:])
