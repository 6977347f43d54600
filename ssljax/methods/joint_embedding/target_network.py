"""The momentum encoder: a copy of a network that follows it slowly and gives a method its targets.

Only parameters are averaged. The copy's batch statistics are its own, from its own passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ssljax.ops.averages import moving_average
from ssljax.ops.schedules import half_cosine

PyTree = Any


def without_predictor(
    params: Mapping[str, PyTree], variables: Mapping[str, Mapping[str, PyTree]]
) -> tuple[PyTree, PyTree]:
    """Copies an `EncoderWithHeads`'s state, all but the predictor, as the target starts."""
    target = {name: part for name, part in params.items() if name != "predictor"}
    target_variables = {
        collection: {name: part for name, part in parts.items() if name != "predictor"}
        for collection, parts in variables.items()
    }
    return jax.tree.map(jnp.copy, (target, target_variables))


def without_drop_path(encoder: nn.Module) -> nn.Module:
    """The encoder that drops no paths, as a target network has it.

    It passes images in training mode for the sake of its batch statistics. But a path that is
    dropped is noise for the network that learns; in the target it would be noise of what is learnt.

    Reference:
      Caron et al., DINO, 2021: `main_dino.py` of facebookresearch/dino gives `drop_path_rate` to
      the student alone.
    """
    return encoder.clone(drop_path=0.0) if hasattr(encoder, "drop_path") else encoder


def follow(
    target: Mapping[str, PyTree], online: Mapping[str, PyTree], momentum: float | Float[Array, ""]
) -> PyTree:
    """One step of the moving average: `momentum * target + (1 - momentum) * online`.

    Args:
      target: Parameters of the target network.
      online: Parameters of the online network; parts that the target lacks are passed over.
      momentum: Share of the old value, in [0, 1].

    Returns:
      The target's new parameters.
    """
    return moving_average(target, {name: online[name] for name in target}, momentum)


def linear_momentum(base: float, step: Int[Array, ""], total_steps: int) -> Float[Array, ""]:
    """The momentum that climbs from `base` at step 0 to 1 at the last, evenly.

    Args:
      base: Momentum at step 0, in [0, 1].
      step: Number of finished train steps k.
      total_steps: Train steps of the run, K.

    Returns:
      base + (1 - base) * k / K; 1 from step K on.

    Reference:
      Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive
      Architecture, 2023, appendix A.
    """
    return base + (1.0 - base) * jnp.minimum(step.astype(jnp.float32) / total_steps, 1.0)


def rising_momentum(base: float, step: Int[Array, ""], total_steps: int) -> Float[Array, ""]:
    """The momentum that climbs from `base` to 1 along half a cosine.

    Args:
      base: Momentum at step 0, in [0, 1].
      step: Number of finished train steps k.
      total_steps: Train steps of the run, K.

    Returns:
      1 - (1 - base) * (cos(pi * k / K) + 1) / 2; 1 from step K on.

    Reference:
      Grill et al., Bootstrap Your Own Latent, 2020, section 3.2.
    """
    return half_cosine(base, 1.0, jnp.minimum(step.astype(jnp.float32) / total_steps, 1.0))
