"""Distillation: a student learns the classes that a fine-tuned teacher sees in unlabelled images.

Chen et al., Big Self-Supervised Models are Strong Semi-Supervised Learners (SimCLR v2), 2020,
section 2. A student as large as its teacher is self-distilled; a distilled run may be the teacher
of a smaller one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Feed, Method, Task, TrainState, Turn
from ssljax.methods.known_labels import is_known
from ssljax.methods.transfer.finetune import Finetune

PyTree = Any


class Distill(Method):
    """One player, the student, an encoder with a linear classifier; the teacher lies in memory.

    Student and teacher see the same view, the teacher in evaluation mode.
    """

    roles: ClassVar = {"encoder": models.ENCODER}
    evaluated = "student"

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values for a student that is smaller than its teacher."""
        return ConfigDict(
            dict(
                temperature=1.0,  # Of both networks; 0.1 for self-distillation.
                # Weight of the teacher's probabilities. Below 1 the true labels have the rest, on
                # the images whose labels `data.labels` keeps; at 1 no label is read.
                alpha=1.0,
                view=ConfigDict(
                    dataclasses.asdict(augment.ViewPolicy(224, interpolation="bicubic"))
                ),
            )
        )

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """All images, and with alpha below 1 the labels that are known."""
        fields = ("image", "label") if config.method.alpha < 1 else ("image",)
        return {"images": Feed(fields, unlabelled="seen")}

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        teacher = task.source
        of_one_class = not isinstance(teacher, Finetune) or teacher.taught == "label"
        if not isinstance(teacher, Finetune | Distill) or not of_one_class:
            raise ValueError(
                "A student needs a teacher: set config.init.workdir to that of a finished run of "
                'the method "finetune" or "distill".'
            )
        self.teacher = teacher
        self.num_classes: int = teacher.num_classes
        self.temperature, self.alpha = method.temperature, method.alpha
        self.view = augment.view_from_config(method.view)
        self.policies = [(self.view, 1)]
        for key in ("mean", "std"):
            own, wanted = getattr(self.view, key), getattr(teacher.view, key)
            if own != wanted:
                raise ValueError(
                    f"method.view.{key} is {own} but the teacher's is {wanted}, and both see the "
                    "same view: set it to the teacher's."
                )
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"method.alpha is {self.alpha}; it must be in [0, 1].")
        self.class_names = teacher.class_names
        if self.alpha < 1:
            self.numbers = _numbers(task, teacher)
        self.image_shape = (self.view.size, self.view.size, task.image_shape[-1])
        self.network = models.Classifier(
            encoder=models.encoder_from_config(config.model.encoder), num_classes=self.num_classes
        )
        self.players = (passes.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the student, and an untrained teacher for `start_from` to replace."""
        params, variables = passes.init(self.network, key, self.image_shape)
        teacher_params, teacher_variables = passes.init(
            self.teacher.network, key, self.teacher.image_shape
        )
        memory = {"teacher": teacher_params, "teacher_variables": teacher_variables}
        return {"online": params}, {"online": variables}, memory

    def start_from(self, state: TrainState, source: Method, source_state: TrainState) -> TrainState:
        """Takes the teacher; the student stays untrained."""
        params, variables = source.trained_weights(source_state)
        return state.replace(memory={"teacher": params, "teacher_variables": variables})

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes one view of every image, with the labels if they are read."""
        views = {"image": augment.make_view(self.view, key, batch["images"])}
        if self.alpha == 1:
            return views
        labels = batch["images"]["label"]
        return views | {
            "label": jnp.where(is_known(labels), jnp.asarray(self.numbers)[labels], labels)
        }

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Cross-entropy against the teacher's probabilities and, where wanted, the labels."""
        memory: Any = turn.state.memory
        teacher: Any = self.teacher.network.apply(
            {"params": memory["teacher"], **memory["teacher_variables"]},
            turn.views["image"],
            train=False,
        )
        outputs, variables = passes.forward(
            self.network, params, turn.state.variables["online"], turn.views["image"], turn.key
        )
        student, target = outputs["logits"], teacher["logits"]
        if self.alpha < 1:
            loss = losses.labelled_distillation(
                student, target, turn.views["label"], self.temperature, self.alpha
            )
        else:
            loss = losses.soft_label_cross_entropy(student, target, self.temperature)
        agrees = jnp.argmax(student, axis=1) == jnp.argmax(target, axis=1)
        return loss, Aux(
            variables=variables,
            metrics={"agreement": jnp.mean(agrees.astype(jnp.float32))},
            carry={"features": outputs["features"]},
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the student on the whole images; "logits" are the classes' scores."""
        return passes.features(
            self.network, state.params["online"], state.variables["online"], self.view, images
        )


def _numbers(task: Task, teacher: Finetune | Distill) -> Int[np.ndarray, "classes"]:
    """The teacher's number of each class of the data set, by the classes' names."""
    if not task.class_names or not teacher.class_names:
        if task.num_classes != teacher.num_classes:
            raise ValueError(
                f"The data set has {task.num_classes} classes and the teacher "
                f"{teacher.num_classes}: set method.alpha=1 to read no labels."
            )
        return np.arange(teacher.num_classes, dtype=np.int32)
    places = {name: k for k, name in enumerate(teacher.class_names)}
    strange = [name for name in task.class_names if name not in places]
    if strange:
        raise ValueError(
            f"The data set has the class {strange[0]!r}, and the teacher was trained without it: "
            "set method.alpha=1 to read no labels, or choose another data set."
        )
    return np.array([places[name] for name in task.class_names], np.int32)
