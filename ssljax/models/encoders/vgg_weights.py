"""Weights of VGG-19 that was trained with labels: names, layouts and a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ssljax.errors import UserError
from ssljax.models.encoders.pytorch_weights import Layout, variables_of
from ssljax.models.encoders.vgg import CONVOLUTIONS, VGG

_KEPT = "features."
_CLASSIFIERS = ("classifier.", "pre_logits.", "head.")
"""Of torchvision, and of timm."""


def load_vgg19(path: str | Path) -> dict[str, Any]:
    """Reads the variables of `VGG` from a safetensors file.

    Args:
      path: A file that `python -m ssljax.tools.convert_vgg` has made, or one of torchvision's or
        timm's VGG-19 without batch norm.

    Returns:
      The collection `params`, as float32 NumPy arrays.

    Raises:
      UserError: If the file is missing or damaged, or its tensors are not those of the network.
    """
    return from_pytorch(kept(path), path)


def kept(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a safetensors file without what belongs to the classifier.

    Args:
      path: As for `load_vgg19`.

    Returns:
      The other tensors by name.

    Raises:
      UserError: If the file is missing or damaged.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"The VGG-19 weights {str(path)!r} cannot be read ({error}): give a safetensors file "
            "of torchvision's or timm's vgg19, or one that python -m ssljax.tools.convert_vgg "
            "has made."
        ) from error
    return {name: x for name, x in tensors.items() if not name.startswith(_CLASSIFIERS)}


def from_pytorch(tensors: Mapping[str, np.ndarray], path: str | Path) -> dict[str, Any]:
    """Turns tensors named as by torchvision and timm into variables of `VGG`.

    Args:
      tensors: Float32 arrays by name, such as `features.0.weight` with axes (output, input,
        height, width).
      path: Where they come from, for the message.

    Returns:
      The collection `params`.

    Raises:
      UserError: If tensors are missing or left over, or one has another shape or type.
    """
    try:
        return variables_of(tensors, pytorch_layout(), "VGG-19")
    except ValueError as error:
        raise UserError(f"The file {str(path)!r} is of another network: {error}") from error


def pytorch_layout() -> Layout:
    """The path in `VGG`'s variables and the shape of each tensor of a PyTorch file."""
    layout: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {}
    number, inputs = 0, 3
    for stage, (width, count) in enumerate(zip(VGG.widths, CONVOLUTIONS, strict=True), start=1):
        for conv in range(1, count + 1):
            module = "params", f"stage{stage}_conv{conv}"
            shape = (width, inputs, 3, 3)
            layout[f"{_KEPT}{number}.weight"] = ((*module, "kernel"), shape)
            layout[f"{_KEPT}{number}.bias"] = ((*module, "bias"), (width,))
            number, inputs = number + 2, width  # Each is followed by a ReLU.
        number += 1  # And each stage by a pool.
    return layout
