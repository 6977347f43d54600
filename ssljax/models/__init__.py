"""Networks: encoders, heads and their parts, and the table of encoders."""

import dataclasses
import difflib
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn

from ssljax.models.branch import Branch
from ssljax.models.heads import ProjectionHead
from ssljax.models.mae import MaskedAutoencoder
from ssljax.models.norm import BatchNorm, NormFactory
from ssljax.models.patches import patchify, unpatchify
from ssljax.models.resnet import BasicBlock, Bottleneck, ResNet
from ssljax.models.small import SmallConvNet
from ssljax.models.vit import VisionTransformer

__all__ = [
    "ENCODERS",
    "BatchNorm",
    "Branch",
    "MaskedAutoencoder",
    "NormFactory",
    "ProjectionHead",
    "ResNet",
    "SmallConvNet",
    "VisionTransformer",
    "build_encoder",
    "encoder_from_config",
    "patchify",
    "unpatchify",
]

ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": partial(ResNet, (2, 2, 2, 2), BasicBlock),
    "resnet34": partial(ResNet, (3, 4, 6, 3), BasicBlock),
    "resnet50": partial(ResNet, (3, 4, 6, 3), Bottleneck),
    "resnet101": partial(ResNet, (3, 4, 23, 3), Bottleneck),
    "resnet152": partial(ResNet, (3, 8, 36, 3), Bottleneck),
    "resnet50x2": partial(ResNet, (3, 4, 6, 3), Bottleneck, 2),
    "small": SmallConvNet,
    "vit_tiny": partial(VisionTransformer, dim=192, heads=3),
    "vit_small": partial(VisionTransformer, dim=384, heads=6),
    "vit_base": partial(VisionTransformer, dim=768, heads=12),
    "vit_mini": partial(VisionTransformer, dim=64, depth=4, heads=2, patch_size=4),
}


def build_encoder(name: str, **options: Any) -> nn.Module:
    """Makes the encoder of that name.

    An encoder is called as ``encoder(images, train)`` and returns a dictionary of named outputs:
    ``features`` (batch, dim) and, layer by layer, activations (batch, height, width, channels):
    ``stem``, ``stage1``, ... of a convolutional network, ``block1``, ... of a transformer.

    Args:
      name: A key of ``ENCODERS``.
      **options: Attributes of the encoder, such as ``stem="cifar"``.

    Returns:
      The module, without parameters.

    Raises:
      ValueError: If the name or an option is unknown.
    """
    if name not in ENCODERS:
        nearest = difflib.get_close_matches(name, ENCODERS, n=3, cutoff=0.0)
        raise ValueError(
            f"There is no encoder {name!r}; the nearest are {', '.join(nearest)}, "
            f"and all are {', '.join(ENCODERS)}."
        )
    known = _options(ENCODERS[name])
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"The encoder {name!r} has no option {unknown[0]!r}; it has {', '.join(known)}."
        )
    return ENCODERS[name](**options)


def encoder_from_config(config: Any, **options: Any) -> nn.Module:
    """Makes the encoder that the `model` part of a config describes.

    Args:
      config: A `ConfigDict` with ``name`` and the options of all encoders. Those that this one does
        not have are left unread, so that another one can be chosen on the command line; so are
        empty tuples, which stand for the encoder's default.
      **options: Attributes that are not in the config, such as ``norm``.

    Returns:
      The module, without parameters.

    Raises:
      ValueError: If the name is unknown.
    """
    known = _options(ENCODERS[config.name]) if config.name in ENCODERS else []
    chosen = {name: value for name, value in config.items() if name in known and value != ()}
    return build_encoder(config.name, **chosen | options)


def _options(constructor: Callable[..., nn.Module]) -> list[str]:
    """Names of the attributes that a constructor still takes."""
    module: Any = constructor
    given = 0
    if isinstance(constructor, partial):
        module, given = constructor.func, len(constructor.args)
    names = [field.name for field in dataclasses.fields(module)]
    return [name for name in names[given:] if name not in ("parent", "name")]
