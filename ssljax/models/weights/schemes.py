"""The names that published files give the tensors of our encoders, one table for all of them.

A scheme translates the path of a variable into the name of a tensor. To read the files of another
library, or of another encoder, add a scheme to `SCHEMES`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp

from ssljax.models.encoders.resnet import BasicBlock, Bottleneck, ResNet
from ssljax.models.encoders.vgg import CONVOLUTIONS, CONVOLUTIONS_16, VGG
from ssljax.models.weights.layout import Layout

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
_SIDE = 32
"""Of the images with which an encoder's variables are listed; their shapes do not depend on it."""


@dataclasses.dataclass(frozen=True)
class Scheme:
    """How a kind of file names an encoder's tensors.

    Attributes:
      encoder: Makes the encoder in its published form.
      module: The name in the file of a module, by the encoder's.
      unread: What the names of tensors begin with that no encoder has, such as those of a
        classifier.
      network: What the network is called in messages.
    """

    encoder: Callable[[], nn.Module]
    module: Callable[[tuple[str, ...]], str]
    unread: tuple[str, ...]
    network: str

    def shapes(self) -> dict[str, Any]:
        """Shapes and types of the encoder's variables."""
        images = jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.float32)
        encoder, key = self.encoder(), jax.random.key(0)
        return dict(jax.eval_shape(lambda x: encoder.init(key, x, False), images))

    def layout(self) -> Layout:
        """Names, paths and shapes of all tensors of a file."""
        layout = {}
        for path, array in flax.traverse_util.flatten_dict(self.shapes()).items():
            _, *modules, leaf = path
            *window, last = array.shape
            shape = (last, *window[-1:], *window[:-1])
            layout[f"{self.module(tuple(modules))}.{_LEAVES[leaf]}"] = (path, shape)
        return layout


def _vgg_module(modules: tuple[str, ...], convolutions: tuple[int, ...], batch_norm: bool) -> str:
    """Layers are numbered: convolutions, norms, ReLUs, and a pool after each stage."""
    found = re.fullmatch(r"stage(\d)_(conv|norm)(\d)", modules[0])
    assert found is not None
    stage, kind, number = int(found[1]), found[2], int(found[3])
    layers = 3 if batch_norm else 2
    before = layers * (sum(convolutions[: stage - 1]) + number - 1) + stage - 1
    return f"features.{before + (kind == 'norm')}"


def _resnet_module(modules: tuple[str, ...]) -> str:
    """Blocks are numbered from 0, and a shortcut is a sequence of a convolution and a norm."""
    if len(modules) == 1:
        return {"stem_conv": "conv1", "stem_norm": "bn1"}[modules[0]]
    found = re.fullmatch(r"stage(\d)_block(\d+)", modules[0])
    assert found is not None
    shortcut = {"shortcut_conv": "downsample.0", "shortcut_norm": "downsample.1"}
    inner = shortcut.get(modules[1], modules[1].replace("norm", "bn"))
    return f"layer{found[1]}.{int(found[2]) - 1}.{inner}"


def _vgg(convolutions: tuple[int, ...], batch_norm: bool, network: str) -> Scheme:
    return Scheme(
        partial(VGG, convolutions=convolutions, batch_norm=batch_norm),
        partial(_vgg_module, convolutions=convolutions, batch_norm=batch_norm),
        ("classifier.", "pre_logits.", "head."),
        network,
    )


def _resnet(
    sizes: tuple[int, int, int, int], block: type[BasicBlock] | type[Bottleneck], network: str
) -> Scheme:
    return Scheme(partial(ResNet, sizes, block), _resnet_module, ("fc.",), network)


SCHEMES: dict[str, Scheme] = {
    "resnet18": _resnet((2, 2, 2, 2), BasicBlock, "ResNet-18"),
    "resnet34": _resnet((3, 4, 6, 3), BasicBlock, "ResNet-34"),
    "resnet50": _resnet((3, 4, 6, 3), Bottleneck, "ResNet-50"),
    "resnet101": _resnet((3, 4, 23, 3), Bottleneck, "ResNet-101"),
    "resnet152": _resnet((3, 8, 36, 3), Bottleneck, "ResNet-152"),
    "vgg16": _vgg(CONVOLUTIONS_16, False, "VGG-16"),
    "vgg16_bn": _vgg(CONVOLUTIONS_16, True, "VGG-16 with batch norm"),
    "vgg19": _vgg(CONVOLUTIONS, False, "VGG-19"),
    "vgg19_bn": _vgg(CONVOLUTIONS, True, "VGG-19 with batch norm"),
}
"""By encoder, those of torchvision and timm, which are the same here but for their classifiers."""
