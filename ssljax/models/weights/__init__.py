"""Weights that others have published, as variables of our encoders, and ours as theirs."""

from __future__ import annotations

from pathlib import Path

import flax.linen as nn

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
from ssljax.models.weights.tokens import join_tokens
from ssljax.models.weights.vgg19 import load_vgg19, vgg19_tensors

__all__ = [
    "Layout",
    "Misfit",
    "Weights",
    "find_decoder",
    "find_encoder",
    "is_readable",
    "join_tokens",
    "load_into",
    "load_vgg19",
    "misfit",
    "naming_of",
    "read_pytorch",
    "read_tensors",
    "shapes_of",
    "tensors_of",
    "variables_of",
    "vgg19_tensors",
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
      ValueError: If there is no such encoder for such images.
    """
    tensors, shapes = read_tensors(path), shapes_of(encoder, image_shape)
    try:
        return find_encoder(tensors, shapes, getattr(encoder, "heads", None))
    except ValueError as error:
        raise misfit(path, error, place="") from error
