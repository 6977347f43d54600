"""A linear classifier on a method's features, learnt beside it, whatever the method.

It costs no second pass: it reads the features that the method's loss has computed, and gives no
gradient back. Its accuracy, on augmented images of the training set, shows early whether the
features are becoming useful.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ssljax import optimizers
from ssljax.methods.contract import Aux, Batch, Loss, Method, Player, Task, TrainState
from ssljax.methods.known_labels import classify

PyTree = Any


class OnlineProbe(Method):
    """A method with one more player, "probe", that moves last.

    Args:
      method: The method that makes the features, under "features" in what its losses carry.
      task: Gives the images' shape and the number of classes.
      learning_rate: Of the probe's Adam.

    Raises:
      ValueError: If the data has no labels.
    """

    def __init__(self, method: Method, task: Task, learning_rate: float = 1e-3) -> None:
        if task.num_classes is None:
            raise ValueError("The online probe needs a data set with labels: leave it out.")
        self.method = method
        self.task = task
        self.learning_rate = learning_rate
        self.phases = method.phases
        self.policies = method.policies
        self.evaluated = method.evaluated
        self.remembers_images = method.remembers_images
        self.generates = method.generates
        self.class_names = method.class_names
        optimizer = optimizers.build(
            {"name": "adam", "learning_rate": learning_rate, "schedule": "constant"},
            total_steps=task.total_steps,
            steps_per_epoch=task.steps_per_epoch,
            batch_size=task.batch_size,
        )
        self.players = (
            *(dataclasses.replace(p, loss=_on_its_views(p.loss)) for p in method.players),
            Player("probe", self.loss, optimizer.tx, optimizer.schedule),
        )

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the method, and a classifier that starts at zero."""
        params, variables, memory = self.method.init(key)
        state = TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            variables={player.name: {} for player in self.method.players} | variables,
            opt_state={},
            memory=memory,
            key=key,
        )
        images = jnp.zeros((1, *self.task.image_shape), jnp.uint8)
        features = jax.eval_shape(self.method.features, state, images)["features"]
        probe = {
            "kernel": jnp.zeros((features.shape[-1], self.task.num_classes)),
            "bias": jnp.zeros((self.task.num_classes,)),
        }
        return params | {"probe": probe}, variables, memory

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes the method's views, and puts the labels beside them."""
        return {"views": self.method.views(key, batch), "label": batch["label"]}

    def loss(
        self,
        params: PyTree,
        state: TrainState,
        views: PyTree,
        key: PRNGKeyArray,
        carried: Mapping[str, PyTree],
    ) -> tuple[Array, Aux]:
        """Cross-entropy of a linear layer on the features against the labels that are known."""
        features = jax.lax.stop_gradient(carried["features"]).astype(jnp.float32)
        logits = features @ params["kernel"] + params["bias"][None]
        loss, metrics = classify(logits, carried["label"])
        return loss, Aux(metrics=metrics)

    def before_step(self, state: TrainState) -> TrainState:
        """What the method does before its step."""
        return self.method.before_step(state)

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """What the method does after its step."""
        return self.method.after_step(state, carried)

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """The method's features."""
        return self.method.features(state, images)

    def latents(self, key: PRNGKeyArray, count: int) -> PyTree:
        """The method's latents."""
        return self.method.latents(key, count)

    def generate(self, state: TrainState, latents: PyTree) -> Float[Array, "count h w channels"]:
        """The method's images."""
        return self.method.generate(state, latents)

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The method's network."""
        return self.method.trained_weights(state)

    def start_from(self, state: TrainState, source: Method, source_state: TrainState) -> TrainState:
        """The method starts from another run; the probe does not."""
        return self.method.start_from(state, source, source_state)

    def in_phase(self, phase: int) -> Method:
        """The probe on the method in that phase."""
        return OnlineProbe(self.method.in_phase(phase), self.task, self.learning_rate)

    def enter_phase(self, phase: int, state: TrainState) -> TrainState:
        """What the method does as the phase begins."""
        return self.method.enter_phase(phase, state)


def _on_its_views(loss: Loss) -> Loss:
    """The loss on the method's own views; it carries the labels of the images that it saw.

    A player with several updates carries features of its last one, so the labels go with them.
    """

    def wrapped(
        params: PyTree,
        state: TrainState,
        views: PyTree,
        key: PRNGKeyArray,
        carried: Mapping[str, PyTree],
    ) -> tuple[Array, Aux]:
        value, aux = loss(params, state, views["views"], key, carried)
        if "features" in aux.carry:
            aux = aux.replace(carry=aux.carry | {"label": views["label"]})
        return value, aux

    return wrapped
