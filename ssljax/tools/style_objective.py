"""What an image is optimised for: content, style, smoothness and photorealism, weighted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ssljax import losses
from ssljax.ops.matting_laplacian import whitened_windows
from ssljax.tools import style_masks
from ssljax.tools.style_networks import Image, StyleNetwork

PyTree = Any

MAGNITUDE = math.sqrt(50)
"""Mean activation to which layers are scaled that are not those of the published network.

In leongatys/PytorchNeuralStyleTransfer content is weighed to style as 1 to 1000, and at this mean
5 to 100 are the same where 1 to 1000 are for a mean of 1: content grows with the square of
activations, style with the fourth power. That the authors' network has the mean 1 that their paper
speaks of is from memory.
"""
_LEVELS = 255.0


@dataclasses.dataclass(frozen=True)
class Weights:
    """Of the losses, as in the authors' code.

    Attributes:
      content: Of the mean squared difference of maps.
      style: Of that of Gram matrices, of each layer.
      variation: Of the total variation, of levels from 0 to 255.
      photorealism: Of the penalty, of colours in [0, 1]; 0 without.
    """

    content: float = 5.0
    style: float = 100.0
    variation: float = 1e-3
    photorealism: float = 0.0


class Constants(NamedTuple):
    """All that the loss reads beside the image.

    Attributes:
      weights: The network's.
      scales: Factors on the maps, by layer.
      content: Scaled maps of the content image.
      style: Gram matrices of the scaled maps of the style image, one for each segment.
      masks: Segments of the content image by layer of style; empty without.
      windows: Of the content image's matting Laplacian, or None.
    """

    weights: PyTree
    scales: Mapping[str, Float[Array, ""]]
    content: Mapping[str, Array]
    style: Mapping[str, Float[Array, "segments channels channels"]]
    masks: Mapping[str, Float[Array, "segments rows columns"]]
    windows: Float[Array, "channels 9 _ _"] | None


def constants(
    network: StyleNetwork,
    content: Image,
    style: Image,
    segments: tuple[style_masks.Segments, style_masks.Segments] | None = None,
) -> Constants:
    """Looks at content and style.

    Args:
      network: What they are seen by.
      content: The content image, in levels.
      style: The style image, of any size.
      segments: Those of the content image and the same ones of the style image.
    """

    @jax.jit
    def look(weights: PyTree, content: Image, style: Image, segments: Any) -> Any:
        seen, wanted = network.maps(weights, content), network.maps(weights, style)
        layers = sorted({*network.content, *network.style})
        scales = {name: _scale(network, seen[name], wanted[name]) for name in layers}
        masks, of_style = {}, dict.fromkeys(network.style)
        if segments is not None:
            masks = _at_layers(network, segments[0], seen)
            of_style = _at_layers(network, segments[1], wanted)
        grams = {
            name: _grams(scales[name] * wanted[name].astype(jnp.float32), of_style[name])
            for name in network.style
        }
        targets = {name: scales[name] * seen[name].astype(jnp.float32) for name in network.content}
        return scales, targets, grams, masks

    found = look(network.weights, content, style, segments)
    return Constants(network.weights, *found, windows=None)


def with_photorealism(of: Constants, content: Image) -> Constants:
    """Adds the matting Laplacian of the content image."""
    windows = whitened_windows(np.asarray(content, np.float64) / _LEVELS)
    return of._replace(windows=jnp.asarray(windows))


def objective(
    network: StyleNetwork, weights: Weights, image: Image, of: Constants
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """The weighted losses of an image.

    Args:
      network: With the layers that are read.
      weights: Of the losses.
      image: In levels.
      of: What it is compared with.

    Returns:
      Their sum, and each of them by name, weighted.
    """
    maps = network.maps(of.weights, image)
    seen = {name: scale * maps[name].astype(jnp.float32) for name, scale in of.scales.items()}
    content = sum(
        (losses.content_loss(seen[name], target) for name, target in of.content.items()),
        start=jnp.zeros(()),
    )
    style = jnp.zeros(())
    for name, target in of.style.items():
        if of.masks:
            style = style + losses.segmented_style_loss(seen[name], of.masks[name], target)
        else:
            style = style + losses.style_loss(seen[name], target[0])
    parts = {
        "content": weights.content * content,
        "style": weights.style * style,
        "variation": weights.variation * losses.total_variation(image),
    }
    if of.windows is not None:
        penalty = losses.photorealism_penalty(image / _LEVELS, of.windows)
        parts["photorealism"] = weights.photorealism * penalty
    return sum(parts.values(), start=jnp.zeros(())), parts


def _scale(network: StyleNetwork, *maps: Array) -> Float[Array, ""]:
    """What brings the mean activation to `MAGNITUDE`, in the mean of both images."""
    if network.published:
        return jnp.ones(())
    means = [jnp.mean(jnp.abs(x.astype(jnp.float32))) for x in maps]
    mean = sum(means, start=jnp.zeros(())) / len(means)
    return jnp.where(mean > 0, MAGNITUDE / mean, 1.0)


def _at_layers(
    network: StyleNetwork, masks: style_masks.Segments, maps: Mapping[str, Array]
) -> dict[str, style_masks.Segments]:
    if network.convolutions:
        found = style_masks.at_vgg_layers(masks, network.convolutions)
        return {name: found[name] for name in network.style}
    sizes = {name: (len(maps[name]), maps[name].shape[1]) for name in network.style}
    return style_masks.at_maps(masks, sizes)


def _grams(maps: Array, masks: style_masks.Segments | None) -> Array:
    if masks is None:
        return losses.gram_matrix(maps)[None]
    return jnp.stack([losses.gram_matrix(maps, mask) for mask in masks])
