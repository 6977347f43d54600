"""A classifier of one class against the rest, a class that changes: does it forget?

A discriminator that sees ever new fakes is such a learner. Its network is trained here on tasks
that follow one another, with the rotations of the images as a task that stays, or without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Feed, Method, Task, TrainState, Turn
from ssljax.methods.known_labels import is_known, mean_known

PyTree = Any


class OneVsRest(Method):
    """One player, a discriminator's network with a rotation head.

    The positive class is that of number (step // `method.block`), modulo the number of classes.
    Positives are rare: both sides of the cross-entropy have the same weight, and accuracy is the
    mean of that on the class and that on the rest.

    Reference:
      Chen et al., SSGAN (arXiv:1811.11212), 2019, section 3. That the sides are balanced is ours;
      the paper does not say how it is there.
    """

    roles: ClassVar = {
        "discriminator": models.DISCRIMINATOR.with_options(
            name="sngan", norm="none", spectral_norm=True
        )
    }
    evaluated = "classifier"

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values; the network's are those of its discriminator."""
        return ConfigDict(
            dict(
                block=1000,  # Train steps of one task.
                rotation_weight=1.0,  # 0: each task alone.
            )
        )

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Images with the labels that are known."""
        return {"images": Feed(("image", "label"))}

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method = config.method
        if task.num_classes is None:
            raise ValueError("method.name='one_vs_rest' needs a data set with labels.")
        if method.block < 1:
            raise ValueError(f"method.block is {method.block}; it must be at least 1 step.")
        self.block, self.num_classes = method.block, task.num_classes
        self.rotation_weight = method.rotation_weight
        self.image_shape = task.image_shape
        self.network = self.roles["discriminator"].from_config(
            config.model.discriminator, num_rotations=4
        )
        self.players = (passes.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the network."""
        params, variables = passes.init(self.network, key, self.image_shape)
        return {"online": params}, {"online": variables}, ()

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Scales the images to [-1, 1], beside their labels."""
        return {
            "image": augment.to_tanh_range(batch["images"]["image"]),
            "label": batch["images"]["label"],
        }

    def positive(self, step: int | Int[Array, ""]) -> int | Int[Array, ""]:
        """The positive class at a train step."""
        return step // self.block % self.num_classes

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The task of this step, and the rotations."""
        images = losses.with_rotations(turn.views["image"])
        outputs, variables = passes.forward(
            self.network, params, turn.state.variables["online"], images
        )
        logits = losses.upright_only(outputs["logits"])
        labels = turn.views["label"]
        is_positive, known = labels == self.positive(turn.state.step), is_known(labels)
        rotation = losses.rotation_loss(losses.in_four_orientations(outputs["rotation"]))
        task = mean_known(
            self._weights(is_positive)
            * optax.sigmoid_binary_cross_entropy(logits, is_positive.astype(logits.dtype)),
            labels,
        )
        return task + self.rotation_weight * rotation, Aux(
            variables=variables,
            metrics={
                "task_loss": task,
                "rotation_loss": rotation,
                "accuracy": balanced_accuracy(logits, is_positive, known),
                "labelled": jnp.mean(known.astype(jnp.float32)),
            },
            carry={"features": losses.upright_only(outputs["features"])},
        )

    def _weights(self, is_positive: Bool[Array, "batch"]) -> Float[Array, "batch"]:
        """Weights of mean 1 over equally frequent classes, half of them on the positive one."""
        classes = self.num_classes
        return jnp.where(is_positive, classes / 2, classes / (2 * (classes - 1)))

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """The activations, layer by layer; "score" (batch, 1) is the logit of the last task."""
        params, variables = self.trained_weights(state)
        outputs: Any = self.network.apply(
            {"params": params, **variables}, augment.to_tanh_range(images), False
        )
        # The logit of the current task is not a score of the classes.
        kept = {name: x for name, x in outputs.items() if name not in ("logits", "rotation")}
        return kept | {"score": outputs["logits"][:, None]}


def balanced_accuracy(
    logits: Float[Array, "batch"],
    is_positive: Bool[Array, "batch"],
    known: Bool[Array, "batch"] | None = None,
) -> Float[Array, ""]:
    """Mean of the accuracies on positives and on negatives; one that is absent counts as 0.5.

    Args:
      logits: Above 0 for a positive.
      is_positive: The truth.
      known: Where the truth is known; None is everywhere.
    """
    negative = ~is_positive if known is None else ~is_positive & known
    hits = (logits > 0) == is_positive

    def share(members: Bool[Array, "batch"]) -> Float[Array, ""]:
        count = jnp.sum(members.astype(jnp.float32))
        right = jnp.sum((hits & members).astype(jnp.float32))
        return jnp.where(count > 0, right / jnp.maximum(count, 1), 0.5)

    return (share(is_positive) + share(negative)) / 2
