"""VGG-19's published weights, by which perceptual losses and neural style look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ssljax.errors import UserError
from ssljax.models.encoders.vgg import VGG
from ssljax.models.weights.files import read_tensors
from ssljax.models.weights.layout import tensors_of
from ssljax.models.weights.names import naming_of
from ssljax.models.weights.reading import find_encoder, shapes_of

_SIDE = 32
"""Of the images with which the variables are listed; any would do."""


def load_vgg19(path: str | Path) -> dict[str, Any]:
    """Reads the convolutions of VGG-19 without batch norm.

    Args:
      path: A file of torchvision's or timm's names, as for `load_into`.

    Returns:
      The variables of `models.build_encoder("vgg19")`, float32 NumPy arrays.

    Raises:
      UserError: If the file is missing or damaged, or of another network.
    """
    tensors, shapes = read_tensors(path), shapes_of(VGG(), (_SIDE, _SIDE, 3))
    try:
        return find_encoder(tensors, shapes).variables
    except ValueError as error:
        raise UserError(
            f"The file {str(path)!r} is of another network than VGG-19: {error}."
        ) from error


def vgg19_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads of a file what `load_vgg19` reads of it, under torchvision's names, and no more."""
    variables = load_vgg19(path)
    naming = naming_of(variables["params"])
    assert naming is not None
    return tensors_of(variables, naming.layout(variables))
