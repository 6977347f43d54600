"""Weights that others have published, as variables of our encoders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ssljax.errors import UserError
from ssljax.models.weights.files import read_pytorch, read_tensors
from ssljax.models.weights.layout import Layout, variables_of
from ssljax.models.weights.schemes import SCHEMES, Scheme

__all__ = [
    "SCHEMES",
    "Layout",
    "Scheme",
    "encoder_tensors",
    "from_tensors",
    "load_encoder",
    "read_pytorch",
    "read_tensors",
    "scheme_of",
    "variables_of",
]


def load_encoder(name: str, path: str | Path) -> dict[str, Any]:
    """Reads an encoder's variables from a published file.

    Args:
      name: The encoder, a key of `SCHEMES`.
      path: A safetensors file of torchvision's or timm's network of that name, or a PyTorch file,
        for which PyTorch must be installed. What belongs to its classifier is not read.

    Returns:
      The collections `params` and, where there are norms, `batch_stats`, as float32 NumPy arrays.

    Raises:
      UserError: If no file of that encoder is known, or the file is missing or damaged, or its
        tensors are not those of the encoder.
    """
    return from_tensors(name, encoder_tensors(name, path), path)


def encoder_tensors(name: str, path: str | Path) -> dict[str, np.ndarray]:
    """Reads a file without what belongs to its classifier; see `load_encoder`."""
    unread = scheme_of(name).unread
    return {key: x for key, x in read_tensors(path).items() if not key.startswith(unread)}


def from_tensors(name: str, tensors: Mapping[str, np.ndarray], path: str | Path) -> dict[str, Any]:
    """Turns tensors, named as in the published files, into an encoder's variables.

    Args:
      name: As for `load_encoder`.
      tensors: Float32 arrays by name, such as `features.0.weight` with axes (output, input, height,
        width).
      path: Where they come from, for the message.

    Returns:
      As `load_encoder`.

    Raises:
      UserError: If tensors are missing or left over, or one has another shape or type.
    """
    scheme = scheme_of(name)
    try:
        return variables_of(tensors, scheme.layout(), scheme.network)
    except ValueError as error:
        raise UserError(f"The file {str(path)!r} is of another network: {error}") from error


def scheme_of(name: str) -> Scheme:
    """The names of an encoder's tensors in published files.

    Raises:
      UserError: If no file of that encoder is known.
    """
    if name not in SCHEMES:
        raise UserError(
            f"No published weights of the encoder {name!r} can be read; those of "
            f"{', '.join(SCHEMES)} can."
        )
    return SCHEMES[name]
