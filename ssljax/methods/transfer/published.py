"""The encoder of a file of published weights, in the place of a run that others start from."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from ssljax import paths
from ssljax.methods.contract import Aux, Method, Player, TrainState, Turn
from ssljax.models import weights

PyTree = Any


class PublishedEncoder(Method):
    """One player, "online", that is there to be read: it learns nothing.

    Args:
      name: The encoder, a key of `weights.SCHEMES`.

    Raises:
      UserError: If no file of that encoder is known.
    """

    evaluated = "published encoder"

    def __init__(self, name: str) -> None:
        self.name = name
        self.scheme = weights.scheme_of(name)
        self.players = (Player("online", _no_loss, optax.set_to_zero()),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Zeros of the encoder's shapes."""
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), self.scheme.shapes())
        return *_by_player(zeros), ()

    def load(self, state: TrainState, path: str) -> TrainState:
        """Puts the weights of a file into a state.

        Args:
          state: Of `init`.
          path: A safetensors file, or a PyTorch file, on a disk or in a bucket.

        Raises:
          UserError: If the file cannot be read or is of another network.
        """
        file = paths.local_copy(paths.resolve(path))
        params, variables = _by_player(weights.load_encoder(self.name, file))
        return state.replace(params=params, variables=variables)


def _by_player(variables: PyTree) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
    """As a method with one player and the module "encoder" has them."""
    collections = {name: {"encoder": part} for name, part in variables.items()}
    return {"online": collections.pop("params")}, {"online": collections}


def _no_loss(params: PyTree, turn: Turn) -> tuple[Array, Aux]:
    return jnp.zeros(()), Aux()
