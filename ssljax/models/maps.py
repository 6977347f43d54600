"""Which of an encoder's named outputs are its maps, the deepest last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, Float

_MAP = re.compile(r"(?:stage|block|conv)(\d+)")


def map_names(outputs: Mapping[str, Any]) -> list[str]:
    """The names of the maps of an encoder's stages, blocks or convolutions, by their numbers.

    A mapping that has passed `jax.jit` or `jax.eval_shape` has lost the order of computation.

    Args:
      outputs: Named outputs, or their shapes, in any order.

    Returns:
      "stage1", "stage2" and so on, as far as they have places; no "stem".
    """
    found = {name: _MAP.fullmatch(name) for name, x in outputs.items() if x.ndim == 4}
    numbers = {name: int(match[1]) for name, match in found.items() if match}
    return sorted(numbers, key=lambda name: numbers[name])


def last_map(outputs: Mapping[str, Array]) -> Float[Array, "batch height width channels"]:
    """The map of an encoder's last stage, block or convolution.

    Args:
      outputs: Named outputs, in any order.

    Returns:
      The map.

    Raises:
      ValueError: If none of the outputs is such a map.
    """
    names = map_names(outputs)
    if not names:
        raise ValueError(
            f"The encoder has no maps of stages, blocks or convolutions among {', '.join(outputs)}:"
            " choose another config.model.encoder.name."
        )
    return outputs[names[-1]]
