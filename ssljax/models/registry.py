"""Networks by name: lookup in a table, with clear errors for a wrong name or option."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn


def build(
    kind: str, table: Mapping[str, Callable[..., nn.Module]], name: str, options: Mapping[str, Any]
) -> nn.Module:
    """Makes the network of that name.

    Args:
      kind: What the table holds, in the singular, for messages.
      table: Constructors of modules by name.
      name: A key of the table.
      options: Attributes of the module.

    Returns:
      The module, without parameters.

    Raises:
      ValueError: If the name or an option is unknown.
    """
    if name not in table:
        nearest = difflib.get_close_matches(name, table, n=3, cutoff=0.0)
        raise ValueError(
            f"There is no {kind} {name!r}; the nearest are {', '.join(nearest)}, "
            f"and all are {', '.join(table)}."
        )
    known = options_of(table[name])
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"The {kind} {name!r} has no option {unknown[0]!r}; it has {', '.join(known)}."
        )
    return table[name](**options)


def options_of(constructor: Callable[..., nn.Module]) -> list[str]:
    """Names of the attributes that a constructor still takes."""
    module: Any = constructor
    given = 0
    if isinstance(constructor, partial):
        module, given = constructor.func, len(constructor.args)
    names = [field.name for field in dataclasses.fields(module)]
    return [name for name in names[given:] if name not in ("parent", "name")]
