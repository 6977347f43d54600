"""The encoders of published files in their published forms, one table for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn

from ssljax.models.encoders.resnet import BasicBlock, Bottleneck, ResNet
from ssljax.models.encoders.vgg import CONVOLUTIONS, CONVOLUTIONS_16, VGG
from ssljax.models.encoders.vit import VisionTransformer
from ssljax.models.weights.layout import Layout
from ssljax.models.weights.names import naming_of
from ssljax.models.weights.reading import shapes_of

_SIDE = 32
"""Of the images with which a convolutional encoder's variables are listed; any would do."""
_SIDE_OF_TRANSFORMERS = 224


@dataclasses.dataclass(frozen=True)
class Scheme:
    """A network whose weights are published.

    Attributes:
      encoder: Makes the encoder in its published form.
      network: What it is called in messages.
      side: Height and width of the images with which its variables are listed.
    """

    encoder: Callable[[], nn.Module]
    network: str
    side: int = _SIDE

    def shapes(self) -> dict[str, Any]:
        """Shapes and types of the encoder's variables."""
        return dict(shapes_of(self.encoder(), (self.side, self.side, 3)))

    def layout(self) -> Layout:
        """Names, paths and shapes of all tensors of a file."""
        shapes = self.shapes()
        naming = naming_of(shapes["params"])
        assert naming is not None
        return naming.layout(shapes)


def _vgg(convolutions: tuple[int, ...], batch_norm: bool, network: str) -> Scheme:
    return Scheme(partial(VGG, convolutions=convolutions, batch_norm=batch_norm), network)


def _resnet(
    sizes: tuple[int, int, int, int], block: type[BasicBlock] | type[Bottleneck], network: str
) -> Scheme:
    return Scheme(partial(ResNet, sizes, block), network)


def _vit(network: str, **options: Any) -> Scheme:
    return Scheme(partial(VisionTransformer, **options), network, _SIDE_OF_TRANSFORMERS)


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
    "vit_tiny": _vit("ViT-Ti/16", dim=192, heads=3),
    "vit_small": _vit("ViT-S/16", dim=384, heads=6),
    "vit_base": _vit("ViT-B/16", dim=768, heads=12),
    "vit_large": _vit("ViT-L/16", dim=1024, depth=24, heads=16),
}
"""By encoder. Files of other forms, such as other patches, are read by `reading.find_encoder`."""
