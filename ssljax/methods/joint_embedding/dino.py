"""DINO: from every crop, a student predicts the output of a slower teacher for the large ones.

Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState, Turn
from ssljax.methods.joint_embedding import self_distillation, target_network
from ssljax.metrics import collapse_metrics

PyTree = Any


class DINO(Method):
    """One player, the student; the teacher and the centre of its logits are memory."""

    roles: ClassVar = {"encoder": models.ENCODER}
    evaluated = "teacher encoder"

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for ViT-S/16 on ImageNet, without its boosts."""
        return ConfigDict(
            dict(
                student_temperature=0.1,
                # Boosted: from 0.04 to 0.07 in 30 epochs.
                teacher_temperature=0.04,
                teacher_warmup_temperature=0.04,
                teacher_warmup_epochs=0.0,
                momentum=0.996,  # At the start; it climbs to 1.
                center_momentum=0.9,
                freeze_last_layer_epochs=1.0,
                clip_each=3.0,  # Greatest norm of each parameter's gradient; 0: no limit.
                weight_decay_end=0.4,  # It starts at optimizer.weight_decay.
                koleo_weight=0.0,  # DINOv2: 0.1.
                projector_layers=3,
                projector_hidden_dim=2048,
                projector_batch_norm=False,
                bottleneck_dim=256,
                out_dim=65536,
                local_crops=8,  # With 0, give both views a crop_scale of (0.14, 1.0).
                view1=ConfigDict(dataclasses.asdict(presets.dino(224, (0.4, 1.0), 1.0))),
                view2=ConfigDict(dataclasses.asdict(presets.dino(224, (0.4, 1.0), 0.1, 0.2))),
                local_view=ConfigDict(dataclasses.asdict(presets.dino(96, (0.05, 0.4), 0.5))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        self.config = method
        self.task = task
        self.policies = self_distillation.crops(method)
        size = method.view1.size
        self.image_shape = (size, size, task.image_shape[-1])
        encoder = models.encoder_from_config(config.model.encoder)
        head = models.DinoHead(
            num_layers=method.projector_layers,
            hidden_dim=method.projector_hidden_dim,
            bottleneck_dim=method.bottleneck_dim,
            out_dim=method.out_dim,
            batch_norm=method.projector_batch_norm,
            dtype=config.model.encoder.dtype,
        )
        self.network = models.EncoderWithHeads(encoder, head)
        # Batch norms are in training mode in both.
        self.teacher = models.EncoderWithHeads(target_network.without_drop_path(encoder), head)
        self.players = (self_distillation.student(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the student, the teacher as its copy, and the centre at zero."""
        params, variables = passes.init(self.network, key, self.image_shape)
        teacher, teacher_variables = target_network.without_predictor(params, variables)
        memory = {
            "teacher": teacher,
            "teacher_variables": teacher_variables,
            "center": jnp.zeros(self.config.out_dim),
        }
        return {"online": params}, {"online": variables}, memory

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes two large crops of every image, one of either kind, and then the small ones."""
        return augment.make_views(key, batch["images"], self.policies)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Cross-entropy of all student crops with the teacher's other large crop."""
        memory = turn.state.memory
        targets, teacher_variables = passes.forward_crops(
            self.teacher, memory["teacher"], memory["teacher_variables"], turn.views[:2]
        )
        crops, variables = passes.forward_crops(
            self.network, params, turn.state.variables["online"], turn.views, turn.key
        )
        logits = [target["projection"] for target in targets]
        temperature = self.teacher_temperature(turn.state.step)
        loss = losses.dino_loss(
            [crop["projection"] for crop in crops],
            logits,
            memory["center"],
            self.config.student_temperature,
            temperature,
        )
        if self.config.koleo_weight:
            spread = losses.koleo(crops[0]["features"]) + losses.koleo(crops[1]["features"])
            loss = loss + self.config.koleo_weight * spread
        bottleneck = crops[0][f"projector{self.config.projector_layers}"]
        centred = (logits[0] - memory["center"][None]) / temperature
        metrics = collapse_metrics(bottleneck, centred) | {
            "teacher_temperature": temperature,
            "momentum": self.momentum(turn.state.step),
        }
        carry = {
            "features": crops[0]["features"],
            # All logits of an update's batches would take much memory.
            "logits": [jnp.mean(x.astype(jnp.float32), axis=0, keepdims=True) for x in logits],
        }
        return loss, Aux(variables, metrics, carry, memory={"teacher_variables": teacher_variables})

    def teacher_temperature(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """The teacher's temperature: a linear warm-up, by the step and not by the epoch."""
        start, end = self.config.teacher_warmup_temperature, self.config.teacher_temperature
        warmup = self.config.teacher_warmup_epochs * self.task.steps_per_epoch
        return self_distillation.warmed_up(start, end, warmup, step)

    def momentum(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Share of the old value in the teacher's step."""
        return target_network.rising_momentum(self.config.momentum, step, self.task.total_steps)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Moves the teacher towards the student, and the centre towards the logits' mean."""
        teacher = target_network.follow(
            state.memory["teacher"], state.params["online"], self.momentum(state.step)
        )
        center = losses.update_center(
            state.memory["center"], carried["logits"], self.config.center_momentum
        )
        return state.replace(memory=state.memory | {"teacher": teacher, "center": center})

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Outputs of the teacher on the whole images, all but the logits."""
        memory = state.memory
        outputs = passes.features(
            self.teacher,
            memory["teacher"],
            memory["teacher_variables"],
            self.policies[0][0],
            images,
        )
        logits = ("projection", f"projector{self.config.projector_layers + 1}")
        return {name: x for name, x in outputs.items() if name not in logits}

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The teacher."""
        return state.memory["teacher"], state.memory["teacher_variables"]
