"""The names that published files give the tensors of our networks, found by their variables.

torchvision and timm name the tensors of ResNets and VGGs alike. Those of vision transformers are
timm's, which DINO, MoCo v3, MAE and DINOv2 have as well, but for a few that
`ssljax.models.weights.reading` brings to these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.traverse_util

from ssljax.models.weights.layout import Layout

CLASS_POSITION = "pos_embed.class"
PATCH_POSITIONS = "pos_embed.table"
"""Parts of a file's "pos_embed", which are variables of their own here."""
PATCHES = "patch_embed.proj.weight"
"""A convolution in files, and a product of matrices here."""

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
_PARTS_OF_BLOCKS = {
    "attention.qkv": "attn.qkv",
    "attention.out": "attn.proj",
    "mlp_hidden": "mlp.fc1",
    "mlp_out": "mlp.fc2",
    "layer_scale1": "ls1.gamma",
    "layer_scale2": "ls2.gamma",
}
_OF_TRANSFORMERS = {
    "class_token": "cls_token",
    "class_position": CLASS_POSITION,
    "position_embedding.table": PATCH_POSITIONS,
    "registers": "reg_token",
    "patch_embedding": "patch_embed.proj",
}
_OF_DECODERS = {"embedding": "decoder_embed", "norm": "decoder_norm", "prediction": "decoder_pred"}


class Naming(NamedTuple):
    """How files name the tensors of a kind of network.

    Attributes:
      kind: What such a network is called in messages.
      modules: Matches the names of all modules and parameters at the network's top.
      anchor: A tensor that every file of such a network has.
      name: The name of a module, or of a parameter without one, by its path with dots.
    """

    kind: str
    modules: str
    anchor: str
    name: Callable[[str], str]

    def layout(self, variables: Mapping[str, Any]) -> Layout:
        """Names, paths and shapes of the tensors of a file.

        Args:
          variables: The network's collections, arrays or their shapes.
        """
        layout = {}
        for path, array in flax.traverse_util.flatten_dict(dict(variables)).items():
            _, *modules, leaf = path
            name = self.name(".".join(modules if leaf in _LEAVES else (*modules, leaf)))
            if leaf in _LEAVES:
                name = f"{name}.{_LEAVES[leaf]}"
            layout[name] = (path, _as_in_files(tuple(array.shape)))
        return layout


def naming_of(params: Mapping[str, Any]) -> Naming | None:
    """The names of an encoder's tensors, by its parameters; None where no file is known."""
    for naming in (_RESNET, _vgg(params), _TRANSFORMER):
        if params and all(re.fullmatch(naming.modules, name) for name in params):
            return naming
    return None


def _as_in_files(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) == 4:
        height, width, inputs, outputs = shape
        return outputs, inputs, height, width
    return shape[::-1] if len(shape) == 2 else shape


def _resnet_module(path: str) -> str:
    """Blocks are numbered from 0, and a shortcut is a sequence of a convolution and a norm."""
    if path in ("stem_conv", "stem_norm"):
        return "conv1" if path == "stem_conv" else "bn1"
    found = re.fullmatch(r"stage(\d)_block(\d+)\.(.+)", path)
    assert found is not None
    shortcut = {"shortcut_conv": "downsample.0", "shortcut_norm": "downsample.1"}
    inner = shortcut.get(found[3], found[3].replace("norm", "bn"))
    return f"layer{found[1]}.{int(found[2]) - 1}.{inner}"


def _vgg(params: Mapping[str, Any]) -> Naming:
    """Layers are numbered: convolutions, norms, ReLUs, and a pool after each stage."""
    stages = [sum(name.startswith(f"stage{i}_conv") for name in params) for i in range(1, 6)]
    layers = 3 if "stage1_norm1" in params else 2

    def module(path: str) -> str:
        found = re.fullmatch(r"stage(\d)_(conv|norm)(\d)", path)
        assert found is not None
        stage, kind, number = int(found[1]), found[2], int(found[3])
        before = layers * (sum(stages[: stage - 1]) + number - 1) + stage - 1
        return f"features.{before + (kind == 'norm')}"

    return Naming("a VGG", r"stage[1-5]_(conv|norm)\d", "features.0.weight", module)


def _transformer_module(path: str) -> str:
    if path in _OF_TRANSFORMERS:
        return _OF_TRANSFORMERS[path]
    return _in_block(path, "blocks") or path


def _in_block(path: str, blocks: str) -> str:
    found = re.fullmatch(r"block(\d+)\.(.+)", path)
    if found is None:
        return ""
    return f"{blocks}.{int(found[1]) - 1}.{_PARTS_OF_BLOCKS.get(found[2], found[2])}"


def _decoder_module(path: str) -> str:
    return _OF_DECODERS.get(path) or _in_block(path, "decoder_blocks") or path


_RESNET = Naming(
    "a ResNet", r"stem_(conv|norm)|stage\d_block\d+", "layer1.0.conv1.weight", _resnet_module
)
_TRANSFORMER = Naming(
    "a vision transformer",
    r"patch_embedding|position_embedding|class_\w+|registers|norm|block\d+",
    PATCHES,
    _transformer_module,
)
MAE_DECODER = Naming(
    "MAE's decoder",
    r"embedding|mask_token|norm|prediction|block\d+",
    "decoder_embed.weight",
    _decoder_module,
)
