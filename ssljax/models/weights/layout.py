"""Tensors of PyTorch files as variables of our networks: names, shapes and orders of axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import numpy as np

Layout = Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]]
"""The path in a network's variables and the shape of each tensor of a PyTorch file."""

CHANNELS = "channels"
"""Among the options of a `Misfit`, one that is not the encoder's but its images'."""
_MOST_NAMED = 3


class Misfit(ValueError):
    """Weights of another network than the encoder.

    Attributes:
      options: The encoder's attributes that would fit, by name; none where that is not known.
    """

    def __init__(self, told: str, **options: object) -> None:
        super().__init__(told)
        self.options = options


def variables_of(tensors: Mapping[str, np.ndarray], layout: Layout, network: str) -> dict[str, Any]:
    """Turns tensors of a PyTorch file into variables.

    Args:
      tensors: Float32 arrays by name. Kernels have the axes (output, input, height, width), or
        (output, input).
      layout: What there must be.
      network: Name of the network, for messages.

    Returns:
      The variables, by collection. Kernels have the axes (height, width, input, output), or (input,
      output).

    Raises:
      ValueError: If tensors are missing or left over, or one has another shape or type.
    """
    missing, unknown = sorted(set(layout) - set(tensors)), sorted(set(tensors) - set(layout))
    if missing or unknown:
        told = [
            f"{len(names)} tensor(s) {what}, such as {', '.join(names[:_MOST_NAMED])}"
            for names, what in (
                (missing, f"of {network} are missing"),
                (unknown, "are unknown"),
            )
            if names
        ]
        raise ValueError(f"{' and '.join(told)}.")
    variables = {}
    for name, (path, shape) in layout.items():
        tensor = np.asarray(tensors[name])
        if tensor.shape != shape or tensor.dtype != np.float32:
            raise ValueError(
                f"The tensor {name} is {tensor.dtype} of shape {tensor.shape}; it must be float32 "
                f"of shape {shape}."
            )
        if tensor.ndim == 4:
            tensor = tensor.transpose(2, 3, 1, 0)
        variables[path] = np.ascontiguousarray(tensor.T if tensor.ndim == 2 else tensor)
    unflattened: dict[str, Any] = flax.traverse_util.unflatten_dict(variables)
    return unflattened


def tensors_of(variables: Mapping[str, Any], layout: Layout) -> dict[str, np.ndarray]:
    """Turns variables into tensors of a PyTorch file: the inverse of `variables_of`.

    Args:
      variables: By collection.
      layout: Of all of them.

    Returns:
      Float32 arrays by name.
    """
    flat = flax.traverse_util.flatten_dict(dict(variables))
    tensors = {}
    for name, (path, _) in layout.items():
        array = np.asarray(flat[path], np.float32)
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        tensors[name] = np.ascontiguousarray(array.T if array.ndim == 2 else array)
    return tensors
