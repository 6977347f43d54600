"""What iBOT and DINOv2 share: a student with hidden patches, a teacher without, and their crops."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models
from ssljax.methods import passes
from ssljax.methods.contract import Batch, Method, Task, TrainState
from ssljax.methods.joint_embedding import self_distillation, target_network

PyTree = Any


class MaskedDistillation(Method):
    """One player, the student; the teacher is memory.

    Args:
      config: The whole resolved config.
      task: What is known of data and length.
      projector: Head on the class token.
      patch_projector: Head on the patches; None for the same one.

    Attributes:
      grid: Rows and columns of patches of a large crop.
      network: The student.
      teacher: The same without dropped paths.
    """

    roles: ClassVar = {"encoder": models.ENCODER}
    evaluated = "teacher encoder"

    def __init__(
        self,
        config: ConfigDict,
        task: Task,
        projector: models.DinoHead,
        patch_projector: models.DinoHead | None = None,
    ) -> None:
        method = config.method
        self.config = method
        self.task = task
        self.policies = self_distillation.crops(method)
        size = method.view1.size
        self.image_shape = (size, size, task.image_shape[-1])
        encoder = models.vision_transformer(type(self).__name__.lower(), config.model.encoder)
        self.grid = models.patch_grid((1, *self.image_shape), encoder.patch_size)
        self.network = models.MaskedEncoderWithHeads(encoder, projector, patch_projector)
        self.teacher = self.network.clone(encoder=target_network.without_drop_path(encoder))
        self.players = (self_distillation.student(self.loss, config, task),)

    def loss(self, params: PyTree, turn: Any) -> tuple[Array, Any]:
        """The player's loss, which a subclass defines."""
        raise TypeError(f"{type(self).__name__} does not define loss")

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the student, and the teacher as its copy."""
        params, variables = passes.init(self.network, key, self.image_shape)
        teacher, _ = target_network.without_predictor(params, variables)
        return {"online": params}, {"online": variables}, {"teacher": teacher}

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes two large crops of every image, one of either kind, and then the small ones."""
        return augment.make_views(key, batch["images"], self.policies)

    def outputs(
        self,
        params: PyTree,
        crops: Sequence[Float[Array, "batch _height _width channels"]],
        select: Callable[[Float[Array, "batch 2 patches dim"]], Array],
        mask: Bool[Array, "batch 2 patches"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> dict[str, Array]:
        """One pass of each resolution, and one of each head.

        Args:
          params: Those of student or teacher.
          crops: The two large crops, and the small ones for the student.
          select: Takes those tokens of the large crops' patches that the head sees.
          mask: What is hidden of the large crops; None: nothing, as for the teacher.
          key: Of the paths that the student drops; None for the teacher.

        Returns:
          `features` and `logits`: (batch, crops, values) of the class token;
          `patch_logits`: (..., out) of the patches that were selected.
        """

        def run(branch: models.MaskedEncoderWithHeads, crops: Any, train: bool) -> dict[str, Array]:
            small = itertools.groupby(crops[2:], key=lambda crop: crop.shape)
            features: list[Array] = []
            tokens: list[Array] = []
            for group in (crops[:2], *(list(group) for _, group in small)):
                images = jnp.stack(group, axis=1)
                joined = images.reshape(-1, *images.shape[2:])
                hidden = None if tokens or mask is None else mask.reshape(len(joined), -1)
                encoded, patches = branch.encode(joined, train, hidden)
                features.append(encoded.reshape(*images.shape[:2], -1))
                tokens.append(patches.reshape(*images.shape[:2], *patches.shape[1:]))
            whole = jnp.concatenate(features, axis=1)
            logits = branch.project(whole, train)
            patch_logits = branch.project(select(tokens[0]), train, patches=True)
            return {
                "features": whole,
                "logits": logits,
                "patch_logits": patch_logits,
            }

        if key is None:
            crops, network = crops[:2], self.teacher
        else:
            network = self.network
        found, _ = passes.forward(network, params, {}, crops, key, method=run)
        outputs: dict[str, Array] = found
        return outputs

    def warmed_up(self, start: float, end: float, step: Int[Array, ""]) -> Float[Array, ""]:
        """A teacher's temperature: a linear warm-up, by the step and not by the epoch."""
        warmup = self.config.teacher_warmup_epochs * self.task.steps_per_epoch
        return self_distillation.warmed_up(start, end, warmup, step)

    def momentum(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Share of the old value in the teacher's step."""
        return target_network.rising_momentum(self.config.momentum, step, self.task.total_steps)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Moves the teacher towards the student."""
        teacher = target_network.follow(
            state.memory["teacher"], state.params["online"], self.momentum(state.step)
        )
        return state.replace(memory=state.memory | {"teacher": teacher})

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Outputs of the teacher on the whole images, all but the logits."""
        outputs = passes.features(
            self.teacher, state.memory["teacher"], {}, self.policies[0][0], images
        )
        logits = f"projector{self.config.projector_layers + 1}"
        return {name: x for name, x in outputs.items() if name != logits}

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The teacher's encoder and the head on its class token."""
        kept = ("encoder", "projector")
        return {name: state.memory["teacher"][name] for name in kept}, {}
