"""Weights that others have published, as variables of our encoders, and ours as theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import numpy as np

from ssljax.errors import UserError
from ssljax.models.weights.files import read_pytorch, read_tensors
from ssljax.models.weights.layout import Layout, Misfit, tensors_of, variables_of
from ssljax.models.weights.names import naming_of
from ssljax.models.weights.reading import (
    Weights,
    find_decoder,
    find_encoder,
    is_readable,
    misfit,
    shapes_of,
)
from ssljax.models.weights.schemes import SCHEMES, Scheme
from ssljax.models.weights.tokens import join_tokens

__all__ = [
    "SCHEMES",
    "Layout",
    "Misfit",
    "Scheme",
    "Weights",
    "encoder_tensors",
    "find_decoder",
    "find_encoder",
    "from_tensors",
    "is_readable",
    "join_tokens",
    "load_encoder",
    "load_into",
    "misfit",
    "naming_of",
    "read_pytorch",
    "read_tensors",
    "scheme_of",
    "shapes_of",
    "tensors_of",
    "variables_of",
]


def load_into(
    encoder: nn.Module, path: str | Path, image_shape: tuple[int, int, int] = (224, 224, 3)
) -> Weights:
    """Reads the variables of any ResNet, VGG or vision transformer from a file of weights.

    Args:
      encoder: The encoder; `models.build_encoder("vit_base", patch_size=14)` makes one.
      path: A safetensors file, or a PyTorch file, for which PyTorch must be installed, with the
        names that `find_encoder` knows.
      image_shape: (height, width, channels) of the images that the encoder will see: learned
        positions are interpolated to their grid of patches.

    Returns:
      The variables, `encoder.apply(weights.variables, images, False)`, and what was read.

    Raises:
      UserError: If the file is missing or damaged, or holds no weights of this encoder.
    """
    tensors = read_tensors(path)
    try:
        shapes = shapes_of(encoder, image_shape)
        return find_encoder(tensors, shapes, getattr(encoder, "heads", None))
    except ValueError as error:
        raise misfit(path, error, place="") from error


def load_encoder(name: str, path: str | Path) -> dict[str, Any]:
    """Reads an encoder in its published form from a file of weights.

    Args:
      name: The encoder, a key of `SCHEMES`.
      path: As for `load_into`.

    Returns:
      The collections `params` and, where there are norms, `batch_stats`, as float32 NumPy arrays.

    Raises:
      UserError: If no file of that encoder is known, or the file is missing or damaged, or its
        tensors are not those of the encoder.
    """
    scheme_of(name)
    return from_tensors(name, read_tensors(path), path)


def encoder_tensors(name: str, path: str | Path) -> dict[str, np.ndarray]:
    """Reads of a file what `load_encoder` reads of it, under torchvision's names, and no more."""
    return tensors_of(load_encoder(name, path), scheme_of(name).layout())


def from_tensors(name: str, tensors: Mapping[str, np.ndarray], path: str | Path) -> dict[str, Any]:
    """Turns tensors, named as in the published files, into an encoder's variables.

    Args:
      name: As for `load_encoder`.
      tensors: Arrays by name, such as `features.0.weight` with axes (output, input, height,
        width).
      path: Where they come from, for the message.

    Returns:
      As `load_encoder`.

    Raises:
      UserError: If tensors are missing or left over, or one has another shape.
    """
    scheme = scheme_of(name)
    try:
        return find_encoder(tensors, scheme.shapes()).variables
    except ValueError as error:
        raise UserError(
            f"The file {str(path)!r} is of another network than {scheme.network}: {error}."
        ) from error


def scheme_of(name: str) -> Scheme:
    """The published form of an encoder.

    Raises:
      UserError: If no file of that encoder is known.
    """
    if name not in SCHEMES:
        raise UserError(
            f"No published weights of the encoder {name!r} can be read; those of "
            f"{', '.join(SCHEMES)} can."
        )
    return SCHEMES[name]
