"""The weights of another run's network, as far as a new one has the same modules."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import jax.numpy as jnp
from flax import traverse_util

from ssljax.methods.contract import Method, TrainState

PyTree = Any

OPTIONAL = "projector/"
"""Of the source's projection head there may be more layers than are taken."""


def start_from(
    state: TrainState,
    source: Method,
    source_state: TrainState,
    *,
    advice: str,
    fresh: Collection[str] = ("classifier",),
) -> TrainState:
    """A fresh state whose one network has the weights of another run's, as far as it has them.

    Args:
      state: The fresh state; its player is "online".
      source: The other run's method.
      source_state: Its state.
      advice: What to do where the two networks differ.
      fresh: Modules of the network that stay untrained.

    Returns:
      The state, with the source's parameters and other collections.

    Raises:
      ValueError: As `take` does.
    """
    params, variables = source.trained_weights(source_state)
    own, collections = state.params["online"], state.variables["online"]
    kept = {name: own[name] for name in fresh}
    return state.replace(
        params=state.params | {"online": take(own, params, advice, fresh) | kept},
        variables=state.variables
        | {
            "online": {
                name: take(part, variables.get(name, {}), advice, fresh)
                for name, part in collections.items()
            }
        },
    )


def take(
    own: PyTree, source: PyTree, advice: str, fresh: Collection[str] = ("classifier",)
) -> PyTree:
    """The source's encoder, and as many layers of its head as are wanted.

    Args:
      own: Parameters, or another collection, of the network that is to get them, by module.
      source: The same of the source.
      advice: What to do where the two differ.
      fresh: Modules of the network that stay untrained.

    Returns:
      The source's arrays, in the structure that `own` has without the fresh modules.

    Raises:
      ValueError: If the encoders differ, or a layer of the head is missing or of another shape.
    """
    parts = own.keys() - set(fresh)
    wanted = _shapes({name: own[name] for name in parts})
    given = _shapes({name: source[name] for name in parts if name in source})
    for path in sorted(wanted.keys() | given.keys()):
        unread = path not in wanted and path.startswith(OPTIONAL)
        if wanted.get(path) != given.get(path) and not unread:
            raise ValueError(
                f"{path} is {given.get(path, 'absent')} there and {wanted.get(path, 'absent')} "
                f"here; {advice}."
            )
    flat = traverse_util.flatten_dict(dict(source), sep="/")
    return traverse_util.unflatten_dict({path: flat[path] for path in wanted}, sep="/")


def _shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
    flat = traverse_util.flatten_dict(tree, sep="/")
    return {path: jnp.shape(leaf) for path, leaf in flat.items()}
