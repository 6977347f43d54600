"""A folder that `timm.create_model("local-dir:FOLDER")` loads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from safetensors.numpy import save

from ssljax import paths
from ssljax.errors import UserError
from ssljax.export.subject import Encoder, Subject, shown_share
from ssljax.models import BasicBlock, ResNet, VisionTransformer, weights

_RESNETS: dict[tuple[tuple[int, ...], bool], str] = {
    ((2, 2, 2, 2), True): "resnet18",
    ((3, 4, 6, 3), True): "resnet34",
    ((3, 4, 6, 3), False): "resnet50",
    ((3, 4, 23, 3), False): "resnet101",
    ((3, 8, 36, 3), False): "resnet152",
}
"""By the blocks of the stages, and whether they are basic ones."""
_TRANSFORMERS = {192: "vit_tiny", 384: "vit_small", 768: "vit_base", 1024: "vit_large"}
_CROP_MODES = {"short_side": "center", "exact": "squash", "pad": "border", "none": "center"}
"""By `data.resize`; timm's borders have the colour of the mean, and those here are black."""
_INSTEAD = "set config.export.format=stablehlo or onnx"


def write(subject: Subject, directory: paths.Path) -> str:
    """Writes `config.json` and `model.safetensors`.

    Raises:
      UserError: If timm has no such network.
    """
    encoder = subject.encoder()
    height, width, channels = encoder.view.size, encoder.view.size, subject.image_shape[2]
    if isinstance(encoder.network, VisionTransformer):
        architecture, arguments, tensors = _transformer(encoder, channels)
        features = encoder.network.dim
    else:
        architecture, tensors = resnet(encoder, "timm")
        if encoder.network.stem != "imagenet":
            raise UserError(
                "timm's ResNets have no 3x3 convolution of stride 1 in place of their first layers "
                f"(config.model.encoder.stem=cifar): {_INSTEAD}, or torchvision."
            )
        arguments, features = {}, tensors["layer4.0.downsample.0.weight"].shape[0]
    view = encoder.view
    config = {
        "architecture": architecture,
        "num_classes": 0,
        "num_features": int(features),
        "model_args": arguments | ({"in_chans": channels} if channels != 3 else {}),
        "pretrained_cfg": {
            "input_size": [channels, height, width],
            "fixed_input_size": bool(arguments),
            "interpolation": view.interpolation,
            "crop_pct": shown_share(view, subject.image_shape),
            "crop_mode": _CROP_MODES[subject.config.data.resize],
            "mean": _for_each(view.mean or (0.0,), channels),
            "std": _for_each(view.std or (1.0,), channels),
            "num_classes": 0,
        },
    }
    paths.write(directory / "config.json", json.dumps(config, indent=2) + "\n")
    paths.write(directory / "model.safetensors", save(tensors, {"format": "pt"}))
    black = ""
    if subject.config.data.resize == "pad":
        black = "transform.transforms[1].fill = 0  # Borders are black.\n"
    return (
        "```python\n"
        "import timm\n\n"
        'network = timm.create_model("local-dir:THIS_FOLDER", pretrained=True).eval()\n'
        "transform = timm.data.create_transform(\n"
        "    **timm.data.resolve_model_data_config(network)\n"
        ")  # Resizing and normalisation are outside the network.\n"
        f"{black}"
        "features = network(transform(picture)[None])\n"
        "```"
    )


def _for_each(values: tuple[float, ...], channels: int) -> list[float]:
    return [float(x) for x in np.broadcast_to(np.asarray(values), (channels,))]


def resnet(encoder: Encoder, format_name: str) -> tuple[str, dict[str, np.ndarray]]:
    """The name that timm and torchvision give a ResNet, and its tensors by theirs.

    Raises:
      UserError: If they have no such network.
    """
    network, naming = encoder.network, weights.naming_of(encoder.variables["params"])
    if not isinstance(network, ResNet) or naming is None:
        raise UserError(
            f"The format {format_name} cannot express this encoder, a {type(network).__name__}, "
            f"whose layers it does not have: {_INSTEAD}."
        )
    name = _RESNETS.get((tuple(network.stage_sizes), network.block is BasicBlock))
    wide = network.width != 1 or network.stages != 4 or network.output_stride
    if name is None or wide or "batch_stats" not in encoder.variables:
        raise UserError(
            f"The format {format_name} has ResNets of four stages, of the usual width and stride, "
            f"with batch norm alone: {_INSTEAD}."
        )
    layout = naming.layout(encoder.variables)
    return name, weights.tensors_of(encoder.variables, layout)


def _transformer(
    encoder: Encoder, channels: int
) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """The name that timm gives the nearest network, how this one differs, and its tensors."""
    network, naming = encoder.network, weights.naming_of(encoder.variables["params"])
    assert isinstance(network, VisionTransformer)
    assert naming is not None
    layout = naming.layout(encoder.variables)
    grid = encoder.view.size // network.patch_size
    tensors, alone = weights.join_tokens(
        weights.tensors_of(encoder.variables, layout), network.patch_size, grid, grid
    )
    side = int(np.sqrt(tensors["pos_embed"].shape[1])) * network.patch_size
    arguments: dict[str, Any] = {
        "img_size": side,
        "patch_size": network.patch_size,
        "embed_dim": network.dim,
        "depth": network.depth,
        "num_heads": network.heads,
        "class_token": "cls_token" in tensors,
        "no_embed_class": alone,
        "global_pool": "token" if network.pool == "class" else "avg",
        "fc_norm": False,  # Tokens are normalised, and then averaged.
    }
    if "reg_token" in tensors:
        arguments["reg_tokens"] = tensors["reg_token"].shape[1]
    if "blocks.0.ls1.gamma" in tensors:
        arguments["init_values"] = 1.0
    nearest = _TRANSFORMERS.get(network.dim, "vit_tiny")
    return f"{nearest}_patch16_224", arguments, tensors
