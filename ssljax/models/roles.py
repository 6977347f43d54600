"""The roles that networks have in a method, and networks made as the config says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn

from ssljax.models.registry import build, options_of


@dataclasses.dataclass(frozen=True)
class Role:
    """What a network may be, in one of the places that a method has for networks.

    Attributes:
      kind: What the networks are, in the singular, for messages.
      networks: Constructors of modules by name.
      options: "name" and the options that the command line offers, at their defaults. A config file
        may set any other option of a network.
    """

    kind: str
    networks: Mapping[str, Callable[..., nn.Module]]
    options: Mapping[str, Any]

    def with_options(self, **options: Any) -> Role:
        """The same role with other defaults, or more options on the command line."""
        return dataclasses.replace(self, options={**self.options, **options})

    def known_options(self) -> set[str]:
        """What any of the networks takes, beside "name"."""
        return set().union(*map(options_of, self.networks.values()))

    def from_config(self, config: Any, **options: Any) -> nn.Module:
        """Makes the network that a part of the config describes, such as `config.model.encoder`.

        Args:
          config: A `ConfigDict` with `name` and options of the role's networks. Those that this
            network does not have are ignored, so that another one can be chosen on the command
            line. So are empty strings and tuples and the whole number 0: they stand for the
            network's own.
          **options: Attributes that the method sets, and that the config therefore may not.

        Returns:
          The module, without parameters.

        Raises:
          ValueError: If the name is unknown, the network lacks an option of the method, or the
            config sets one.
        """
        if twice := sorted(options.keys() & config.keys()):
            raise ValueError(
                f"The {twice[0]} of a {self.kind} is set by the method, not the config."
            )
        known = options_of(self.networks[config.name]) if config.name in self.networks else []
        chosen = {
            name: value
            for name, value in config.items()
            if name in known and not _stands_for_the_default(value)
        }
        return build(self.kind, self.networks, config.name, chosen | options)


def _stands_for_the_default(value: Any) -> bool:
    return value in ("", (), []) or (type(value) is int and value == 0)
