"""Images that a method's generator draws: by key, on all devices, and on the way between two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray, UInt8

from ssljax.evals.generative import to_pixels
from ssljax.mesh import batch_sharding
from ssljax.methods.contract import TrainState
from ssljax.methods.protocols import Generator

PyTree = Any
Sampler = Callable[[TrainState, PRNGKeyArray, int], Array]

# Initialisation and training have split the numbers 0 and 1 off the seed's key.
_PICTURED, _SCORED = 2, 3


def picture_key(seed: int) -> PRNGKeyArray:
    """The key of the latents that are shown, the same at every step of a run."""
    return jax.random.fold_in(jax.random.key(seed), _PICTURED)


def score_key(seed: int) -> PRNGKeyArray:
    """The key of the latents whose images are scored, the same at every step of a run."""
    return jax.random.fold_in(jax.random.key(seed), _SCORED)


def make_sampler(method: Generator, mesh: Mesh) -> Sampler:
    """Makes a jitted `sample(state, key, count)` that gives uint8 images of a method's generator.

    The images depend on state, key and count alone; where the devices divide the count, each makes
    a part of it.
    """

    def sample(state: TrainState, key: PRNGKeyArray, count: int) -> Array:
        return generate(method, mesh, state, method.latents(key, count), count)

    return jax.jit(sample, static_argnums=2)


def generate(
    method: Generator, mesh: Mesh, state: TrainState, latents: PyTree, count: int
) -> UInt8[Array, "count height width channels"]:
    """Makes images of latents, on all devices where they divide the count; runs under jit."""
    if count % mesh.size == 0:
        latents = jax.lax.with_sharding_constraint(latents, batch_sharding(mesh))
    return to_pixels(method.generate(state, latents))


def interpolate(start: PyTree, end: PyTree, count: int) -> PyTree:
    """Walks on straight lines from latents to latents.

    Args:
      start: Arrays with one row for each line.
      end: The same, of the lines' ends.
      count: Latents on a line, both ends included.

    Returns:
      Arrays with `count` rows for each line, line by line. What is not a float, such as a class,
      stays that of the start.
    """

    def walk(a: Array, b: Array) -> Array:
        if not jnp.issubdtype(a.dtype, jnp.floating):
            return jnp.repeat(a, count, axis=0)
        way = jnp.linspace(0, 1, count, dtype=a.dtype).reshape(1, count, *[1] * (a.ndim - 1))
        return (a[:, None] * (1 - way) + b[:, None] * way).reshape(-1, *a.shape[1:])

    return jax.tree.map(walk, start, end)
