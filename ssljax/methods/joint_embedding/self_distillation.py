"""What DINO, iBOT and DINOv2 share: their crops, the student's optimizer and a warm-up."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from ssljax import augment
from ssljax.augment import ViewPolicy
from ssljax.methods import passes
from ssljax.methods.contract import Loss, Player, Task


def crops(method: ConfigDict) -> list[tuple[ViewPolicy, int]]:
    """The policies of both large crops and of the small ones, with how many there are of each.

    Args:
      method: The config's part with `view1`, `view2`, `local_view` and `local_crops`.
    """
    return [
        (augment.view_from_config(method.view1), 1),
        (augment.view_from_config(method.view2), 1),
        (augment.view_from_config(method.local_view), method.local_crops),
    ]


def student(loss: Loss, config: ConfigDict, task: Task) -> Player:
    """The player whose heads' last layers rest at first.

    Args:
      loss: Its loss.
      config: The whole resolved config.
      task: What is known of data and length.
    """
    method = config.method
    return passes.online_player(
        loss,
        config,
        task,
        frozen="projector/last_layer$",
        frozen_steps=round(method.freeze_last_layer_epochs * task.steps_per_epoch),
        clip_each=method.clip_each,
        weight_decay_end=method.weight_decay_end,
    )


def warmed_up(start: float, end: float, steps: float, step: Int[Array, ""]) -> Float[Array, ""]:
    """A teacher's temperature: it goes evenly from one value to another, by the step.

    Args:
      start: Temperature at step 0.
      end: Temperature from the end of the warm-up on.
      steps: Train steps of the warm-up; 0: there is none.
      step: Number of finished train steps.

    Returns:
      The temperature; the authors change theirs by the epoch.
    """
    if not steps:
        return jnp.float32(end)
    return start + (end - start) * jnp.minimum(step.astype(jnp.float32) / steps, 1.0)
