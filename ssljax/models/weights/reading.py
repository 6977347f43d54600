"""The weights of an encoder, found in a file that may hold more, under the names of its authors."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ssljax.errors import UserError
from ssljax.models.weights.layout import Layout, variables_of
from ssljax.models.weights.names import MAE_DECODER, Naming, naming_of
from ssljax.models.weights.tokens import split_tokens

Variables = Mapping[str, Any]

_PREFERRED = ("teacher.", "base_encoder.", "encoder_q.", "online", "student.")
"""Of several encoders in a file, that which its authors evaluate."""
_HEADS = (
    *("fc.", "head.", "heads.", "head_dist.", "classifier.", "pre_logits.", "last_layer."),
    *("projection_head.", "prototypes.", "projector.", "predictor.", "mask_token", "decoder"),
    "num_batches_tracked",
)
"""What names begin with that stand beside an encoder's, in the same part of a file."""
_MOST_NAMED = 3


class Weights(NamedTuple):
    """What was found in a file.

    Attributes:
      variables: The encoder's collections, float32 NumPy arrays.
      told: What was read and what was left, as a sentence for the log.
    """

    variables: dict[str, Any]
    told: str


def shapes_of(encoder: nn.Module, image_shape: tuple[int, int, int] = (224, 224, 3)) -> Variables:
    """The shapes of an encoder's variables, for `find_encoder`.

    Args:
      encoder: Any encoder.
      image_shape: (height, width, channels) of its images.
    """
    images, key = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32), jax.random.key(0)
    return dict(jax.eval_shape(lambda x: encoder.init(key, x, False), images))


def is_readable(params: Variables) -> bool:
    """Whether files are known for an encoder of these parameters."""
    return naming_of(params) is not None


def find_encoder(tensors: Mapping[str, np.ndarray], shapes: Variables) -> Weights:
    """Finds an encoder's weights among tensors named by torchvision, timm, or a method's authors.

    These are read: torchvision's and timm's files; those of MAE, DINO, DINOv2, MoCo v3, SwAV,
    Barlow Twins and VICReg, the encoder alone or the whole checkpoint; and others whose encoder has
    torchvision's or timm's names after any prefix, such as "module.backbone.". Of a student and a
    teacher the teacher is read, and of MoCo's encoders the one that learns by gradients.

    Positions of another grid of patches are interpolated: see `tokens.bicubic`.

    Args:
      tensors: Arrays by name. Kernels have the axes (output, input, height, width).
      shapes: The encoder's collections, arrays or their shapes.

    Returns:
      The weights.

    Raises:
      ValueError: If no file is known for such an encoder, or there is none in the file, or it is
        another: the message begins with what the file has, and says what is missing or unknown.
    """
    naming = naming_of(shapes["params"])
    if naming is None:
        raise ValueError(
            "weights are known of ResNets, VGGs and vision transformers alone, and the encoder is "
            "none of them"
        )
    prefix = _prefix(tensors, naming)
    inside = {
        name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)
    }
    layout = naming.layout(shapes)
    own = {name: _float32(x) for name, x in inside.items() if not name.startswith(_HEADS)}
    count = len(own)
    own, changed = split_tokens(own, layout)
    variables = _fitted(own, layout, naming.kind)
    rest = sorted(tensors.keys() - {prefix + name for name in inside})
    rest += [prefix + name for name in inside if name.startswith(_HEADS)]
    told = f"{count} tensors" + (f" of its part {prefix.rstrip('.')!r}" if prefix else "")
    told += " are the encoder's" + changed
    if rest:
        told += f"; not read {_few(rest)}"
    return Weights(variables, told)


def find_decoder(tensors: Mapping[str, np.ndarray], shapes: Variables) -> dict[str, Any] | None:
    """Finds the weights of MAE's decoder; None if there is none, or it is another.

    Args:
      tensors: As for `find_encoder`.
      shapes: The parameters of `models.MaskedAutoencoder`'s decoder, under "params".
    """
    layout = MAE_DECODER.layout(shapes)
    prefixes = _prefixes(tensors, MAE_DECODER.anchor)
    for prefix in prefixes:
        own = {
            name: _float32(tensors[prefix + name]) for name in layout if prefix + name in tensors
        }
        if {name: x.shape for name, x in own.items()} == {
            name: shape for name, (_, shape) in layout.items()
        }:
            return variables_of(own, layout, MAE_DECODER.kind)
    return None


def _prefixes(tensors: Collection[str], anchor: str) -> list[str]:
    return [
        name.removesuffix(anchor)
        for name in tensors
        if name.endswith(anchor) and name[: -len(anchor)][-1:] in ("", ".")
    ]


def _prefix(tensors: Collection[str], naming: Naming) -> str:
    """What stands before the names of the encoder that is taken."""
    found = _prefixes(tensors, naming.anchor)
    if not found:
        raise ValueError(
            f"it holds no weights of {naming.kind}: it has {_few(tensors)} and no {naming.anchor}"
        )

    def rank(prefix: str) -> tuple[int, int]:
        known = [i for i, part in enumerate(_PREFERRED) if part in prefix]
        return (min(known, default=len(_PREFERRED)) if prefix else -1, len(prefix))

    return min(found, key=rank)


def _fitted(tensors: dict[str, np.ndarray], layout: Layout, kind: str) -> dict[str, Any]:
    """The variables.

    Raises:
      ValueError: If tensors are missing, unknown or of other shapes.
    """
    missing, unknown = layout.keys() - tensors.keys(), tensors.keys() - layout.keys()
    others = {
        name for name in layout.keys() & tensors.keys() if tensors[name].shape != layout[name][1]
    }
    parts = []
    if missing:
        parts.append(f"it lacks {_few(missing)}")
    if unknown:
        parts.append(f"it has {_few(unknown)} that the encoder has not")
    if others:
        name = min(others, key=lambda name: (math.prod(layout[name][1]), name))
        parts.append(
            f"{len(others)} tensor(s) have other shapes, such as {name}, {tensors[name].shape} "
            f"there and {layout[name][1]} here"
        )
    if parts:
        raise ValueError("; ".join(parts) + _advice(tensors, layout))
    return variables_of(tensors, layout, kind)


def _advice(tensors: Mapping[str, np.ndarray], layout: Layout) -> str:
    """Which key of the config may be at fault, where that is known."""
    stem = tensors.get("conv1.weight")
    if stem is not None and "conv1.weight" in layout:
        if stem.shape[1] != layout["conv1.weight"][1][1]:
            return f"; its images have {stem.shape[1]} channels: set config.data.channels"
        if stem.shape[2:] == (7, 7) != layout["conv1.weight"][1][2:]:
            return "; set config.model.encoder.stem=imagenet"
        if stem.shape[2:] == (3, 3) != layout["conv1.weight"][1][2:]:
            return "; set config.model.encoder.stem=cifar"
    if ("reg_token" in tensors) != ("reg_token" in layout):
        return "; set config.model.encoder.registers to what it has"
    if ("blocks.0.ls1.gamma" in tensors) != ("blocks.0.ls1.gamma" in layout):
        return "; set config.model.encoder.layer_scale, above 0 where it has such factors"
    return ""


def _float32(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32)


def _few(names: Collection[str]) -> str:
    listed = ", ".join(sorted(names)[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        listed += ", ..."
    return f"{len(names)} tensor(s) ({listed})"


def misfit(path: object, error: ValueError) -> UserError:
    """What the user is told of a file that does not fit."""
    return UserError(
        f"The weights {str(path)!r} do not fit the encoder: {error}. config.model.encoder must "
        "describe the network of the file."
    )
