"""The networks of a game by role: which player owns them, and where in the state they lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array, PRNGKeyArray

from ssljax.methods import passes
from ssljax.methods.contract import TrainState

PyTree = Any
Weights = tuple[PyTree, dict[str, PyTree]]
"""Parameters of a network, and its other collections by name."""


@dataclasses.dataclass(frozen=True)
class Networks:
    """The networks of a game.

    A player that owns one network has its parameters and collections as they are; one that owns
    several has them by role. A network that no player owns is frozen: it lies in the memory, by its
    role, as its collections with "params" among them.

    Attributes:
      by_role: Modules that are called as `network(inputs, train, labels)`.
      owned: Roles by player.
    """

    by_role: Mapping[str, nn.Module]
    owned: Mapping[str, tuple[str, ...]]

    def init(
        self, key: PRNGKeyArray, inputs: Callable[[str], tuple[Any, ...]]
    ) -> tuple[dict[str, PyTree], dict[str, PyTree], dict[str, PyTree]]:
        """Makes all networks, untrained.

        Args:
          key: The random key.
          inputs: What the network of a role is called with.

        Returns:
          Parameters by player, other collections by player, and the frozen networks by role.
        """
        keys = jax.random.split(key, len(self.by_role))
        made = {
            role: dict(network.init(own, *inputs(role)))
            for own, (role, network) in zip(keys, self.by_role.items(), strict=True)
        }
        owned = {role for roles in self.owned.values() for role in roles}
        frozen = {role: network for role, network in made.items() if role not in owned}
        params = {role: network.pop("params") for role, network in made.items() if role in owned}
        return self._by_player(params), self._by_player(made), frozen

    def _by_player(self, parts: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return {
            player: parts[roles[0]] if len(roles) == 1 else {role: parts[role] for role in roles}
            for player, roles in self.owned.items()
        }

    def weights(self, state: TrainState, role: str) -> Weights:
        """The network of a role, as it is in the state."""
        for player, roles in self.owned.items():
            if role in roles:
                own = state.params[player], state.variables[player]
                return own if len(roles) == 1 else (own[0][role], own[1][role])
        frozen = dict(state.memory[role])
        return frozen.pop("params"), frozen

    def run(
        self,
        role: str,
        weights: tuple[PyTree, Mapping[str, PyTree]],
        inputs: Any,
        labels: Array | None = None,
        update_spectral: bool = False,
        dropout: PRNGKeyArray | None = None,
    ) -> tuple[Any, dict[str, PyTree]]:
        """One pass in training mode.

        Args:
          role: Which network.
          weights: Its parameters and its other collections.
          inputs: Its inputs, with batch statistics of them alone.
          labels: Their classes, for a conditional network.
          update_spectral: Whether the spectral vectors take a step: in one pass of each of the
            network's own updates.
          dropout: Key of what the network drops at random, if it drops anything.

        Returns:
          The outputs, and the collections that the pass changed.
        """
        params, variables = weights
        held = () if update_spectral else ("spectral",)
        return passes.forward(
            self.by_role[role], params, variables, inputs, dropout, held=held, labels=labels
        )
