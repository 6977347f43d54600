"""A linear classifier on a method's features, learnt along with it, for any method.

It costs no second pass: it reads the features that the method's loss has computed, and passes no
gradient back. Its accuracy, on augmented images of the training set, shows early whether the
features are becoming useful.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ssljax import optimizers
from ssljax.methods.contract import Aux, Method, Player, Task, TrainState, Turn
from ssljax.methods.known_labels import classify

PyTree = Any


def player(method: Method, task: Task, feed: str = "images", learning_rate: float = 1e-3) -> Player:
    """Makes the player "probe", which moves after those of a method.

    Args:
      method: The method that makes the features, under "features" in what its losses carry.
      task: Gives the images' shape and the number of classes.
      feed: Whose images the features are of.
      learning_rate: Of the probe's Adam.

    Raises:
      ValueError: If the data has no labels.
    """
    if task.num_classes is None:
        raise ValueError("The online probe needs a data set with labels: leave it out.")
    optimizer = optimizers.build(
        {"name": "adam", "learning_rate": learning_rate, "schedule": "constant"},
        total_steps=task.total_steps,
        steps_per_epoch=task.steps_per_epoch,
        batch_size=task.batch_size,
    )
    start = {
        "kernel": jnp.zeros((_width(method, task), task.num_classes)),
        "bias": jnp.zeros((task.num_classes,)),
    }
    return Player(
        "probe",
        functools.partial(_loss, feed),
        optimizer.tx,
        optimizer.schedule,
        beside="features",
        init=lambda: start,
    )


def _loss(feed: str, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
    """Cross-entropy of a linear layer on the features against the labels that are known."""
    features = jax.lax.stop_gradient(turn.carried["features"]).astype(jnp.float32)
    logits = features @ params["kernel"] + params["bias"][None]
    loss, metrics = classify(logits, turn.batch[feed]["label"])
    return loss, Aux(metrics=metrics)


def _width(method: Method, task: Task) -> int:
    """Length of the features of one image."""

    def features(key: PRNGKeyArray, images: Array) -> Array:
        params, variables, memory = method.init(key)
        variables = {name: variables.get(name, {}) for name in params}
        state = TrainState(jnp.zeros((), jnp.int32), params, variables, {}, memory, key)
        return method.features(state, images)["features"]

    images = jnp.zeros((1, *task.image_shape), jnp.uint8)
    width: int = jax.eval_shape(features, jax.random.key(0), images).shape[-1]
    return width
