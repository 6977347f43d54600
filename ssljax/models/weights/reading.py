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
from ssljax.models.layers.positions import sincos_positions
from ssljax.models.weights.layout import CHANNELS, Layout, Misfit, variables_of
from ssljax.models.weights.names import MAE_DECODER, PATCHES, Naming, naming_of
from ssljax.models.weights.tokens import split_tokens

Variables = Mapping[str, Any]

_PREFERRED = ("teacher.", "target_encoder.", "base_encoder.", "encoder_q.", "online", "student.")
"""Of several encoders in a file, that which its authors evaluate."""
_HEADS = (
    *("fc.", "head.", "heads.", "head_dist.", "classifier.", "pre_logits.", "last_layer."),
    *("projection_head.", "prototypes.", "projector.", "predictor.", "mask_token", "decoder"),
    "num_batches_tracked",
)
"""What names begin with that stand beside an encoder's, in the same part of a file."""
_MOST_NAMED = 3
_DIM_OF_MOCO, _HEADS_OF_MOCO = 384, 12


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


def find_encoder(
    tensors: Mapping[str, np.ndarray], shapes: Variables, heads: int | None = None
) -> Weights:
    """Finds an encoder's weights among tensors named by torchvision, timm, or a method's authors.

    These are read, whole checkpoints and the encoder alone, and others whose encoder has
    torchvision's or timm's names after any prefix. Each was compared with its authors' code:

    ============ ========================================== =====================================
    files of     what they hold of the encoder              classes and functions
    ============ ========================================== =====================================
    torchvision  its names, with `fc.` or `classifier.`     `models.resnet`, `models.vgg`
    timm         its names, with `head.` or `fc.`           `models.vision_transformer`,
                                                            `models.resnet`
    MAE          `model`: timm's, with the decoder          `models_mae.MaskedAutoencoderViT`,
                                                            `util.misc.save_model`
    DINO         `teacher`, `student`: `backbone.`, in the  `vision_transformer`, `main_dino`,
                 student and with batch norms `module.`     `utils.MultiCropWrapper`
                 before it
    DINOv2       timm's, with `register_tokens` and         `dinov2.models.vision_transformer`,
                 `mask_token`; of training `teacher`:       `dinov2.hub.backbones`,
                 `backbone.`, blocks in chunks              `dinov2.train.train.do_test`
    MoCo v1, v2  `state_dict`: `module.encoder_q.`          `moco.builder`, `main_lincls`
    MoCo v3      `state_dict`: `module.base_encoder.`;      `moco.builder`, `vits`,
                 of `convert_to_deit`, `model`              `convert_to_deit`
    SwAV         `module.`, whole in `state_dict`           `src.resnet50`, `main_swav`
    Barlow Twins `model`: `module.backbone.`                `main.BarlowTwins`
    VICReg       `model`: `module.backbone.`                `resnet`, `main_vicreg`
    I-JEPA       `target_encoder`: `module.`                `src.models.vision_transformer`,
                                                            `src.train`
    ============ ========================================== =====================================

    Of a student and a teacher the teacher is read, of MoCo's encoders the one that learns by
    gradients, and of I-JEPA's the target. SwAV's and VICReg's first convolution pads in two steps
    what torchvision's pads in one; their wider networks are `width=2` and so on here. Not read are
    DINO's XCiT, MoCo v3's convolutional stems, DINOv2's ViT-g, whose units are gated, and networks
    that MAE fine-tuned, which normalise the mean of the tokens.

    Positions of another grid of patches are interpolated: see `tokens.split_tokens`.

    Args:
      tensors: Arrays by name. Kernels have the axes (output, input, height, width).
      shapes: The encoder's collections, arrays or their shapes.
      heads: Of a vision transformer, how many it has, which no file tells; None: not checked.

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
    _check_heads(own, prefix, heads)
    own, changed = split_tokens(own, layout, inside.get("mask_token"))
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

    taken = min(found, key=rank)
    rivals = [prefix for prefix in found if rank(prefix)[0] == rank(taken)[0]]
    if len(rivals) > 1 and rank(taken)[0] == len(_PREFERRED):
        names = ", ".join(repr(prefix.rstrip(".")) for prefix in sorted(rivals))
        raise ValueError(
            f"it holds {len(rivals)} encoders ({names}), and which of them is meant is not known: "
            "write one of them to a file of its own"
        )
    return taken


def _check_heads(tensors: Mapping[str, np.ndarray], prefix: str, heads: int | None) -> None:
    """Raises a `Misfit` if heads are not those of MoCo v3's ViT-S, which alone has 12 (sec. 5.1).

    Its checkpoints name a "base_encoder". In files of the encoder alone the positions tell it.
    """
    if heads in (None, _HEADS_OF_MOCO) or PATCHES not in tensors:
        return
    if len(tensors[PATCHES]) != _DIM_OF_MOCO:
        return
    if "base_encoder." in prefix or _has_positions_of_moco(tensors.get("pos_embed")):
        raise Misfit(
            f"it is MoCo v3's ViT-S, which has {_HEADS_OF_MOCO} heads, and the encoder has {heads}",
            heads=_HEADS_OF_MOCO,
        )


def _has_positions_of_moco(positions: np.ndarray | None) -> bool:
    """Whether rows come before columns in fixed positions, where MAE has it otherwise."""
    if positions is None or positions.ndim != 3:
        return False
    side, dim = math.isqrt(positions.shape[1] - 1), positions.shape[2]
    if side * side != positions.shape[1] - 1:
        return False
    known = np.asarray(sincos_positions(side, side, dim)).reshape(side, side, dim)
    return bool(np.abs(positions[0, 1:] - known.swapaxes(0, 1).reshape(-1, dim)).max() < 1e-4)


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
        raise Misfit("; ".join(parts), **_advice(tensors, layout))
    return variables_of(tensors, layout, kind)


def _advice(tensors: Mapping[str, np.ndarray], layout: Layout) -> dict[str, object]:
    """Which attributes of the encoder may be at fault, and what they must be, where it is known."""
    stem = tensors.get("conv1.weight")
    if stem is not None and "conv1.weight" in layout:
        known = layout["conv1.weight"][1]
        if stem.shape[1] != known[1]:
            return {CHANNELS: stem.shape[1]}
        for side, name in ((7, "imagenet"), (3, "cifar")):
            if stem.shape[2:] == (side, side) != known[2:]:
                return {"stem": name}
    if ("reg_token" in tensors) != ("reg_token" in layout):
        return {"registers": tensors["reg_token"].shape[1] if "reg_token" in tensors else 0}
    if ("blocks.0.ls1.gamma" in tensors) != ("blocks.0.ls1.gamma" in layout):
        return {"layer_scale": 1.0 if "blocks.0.ls1.gamma" in tensors else 0.0}
    return {}


def _float32(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32)


def _few(names: Collection[str]) -> str:
    listed = ", ".join(sorted(names)[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        listed += ", ..."
    return f"{len(names)} tensor(s) ({listed})"


def misfit(path: object, error: ValueError, place: str = "config.model.encoder.") -> UserError:
    """What the user is told of a file that does not fit.

    Args:
      path: The file.
      error: What `find_encoder` raised, or what makes the encoder.
      place: What stands before the encoder's attributes where the user sets them: nothing in a
        program, which gives them as arguments.
    """
    options = dict(getattr(error, "options", {}))
    channels = options.pop(CHANNELS, None)
    advice = "The encoder must be that of the file."
    if place:
        advice = f"{place.rstrip('.')} must describe the network of the file."
    if channels and not place:
        advice = f"Its images have {channels} channel(s)."
    elif channels:
        advice = f"Its images have {channels} channel(s): set config.data.channels."
    elif options:
        named = ", ".join(
            f"{place}{name}={value if place else repr(value)}" for name, value in options.items()
        )
        advice = f"{'Set' if place else 'Give'} {named}."
    told = str(error).rstrip(".")
    return UserError(f"The weights {str(path)!r} do not fit the encoder: {told}. {advice}")
