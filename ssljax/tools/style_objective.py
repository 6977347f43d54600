"""What an image is optimised for: content, style, smoothness and photorealism, weighted."""

from __future__ import annotations

import dataclasses
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

CONTENT_SCALE = 2_091_178.59 / 5
"""Mean square of the content's maps where Caffe's VGG-19 is the network.

The loss that jcjohnson/neural-style prints at the first step of its example (INSTALL.md), by its
weight: the image is grey then, and all that the content has is missing.
"""
STYLE_SCALE = 13_288_696.67 / (5 * 100)
"""Likewise of the Gram matrices, in the mean of the five layers."""
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
      content_scales: Factors on the losses of the content's layers.
      style_scales: Likewise of the style's.
      content: Maps of the content image.
      style: Gram matrices of the maps of the style image, one for each segment.
      masks: Segments of the content image by layer of style; empty without.
      windows: Of the content image's matting Laplacian, or None.
    """

    weights: PyTree
    content_scales: Mapping[str, Float[Array, ""]]
    style_scales: Mapping[str, Float[Array, ""]]
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
        masks: dict[str, Array] = {}
        of_style: dict[str, Any] = dict.fromkeys(network.style)
        if segments is not None:
            masks = _at_layers(network, segments[0], seen)
            of_style = _at_layers(network, segments[1], wanted)
        grams = {name: _grams(wanted[name], of_style[name]) for name in network.style}
        targets = {name: seen[name].astype(jnp.float32) for name in network.content}
        content_scales = {
            name: _scale(network, jnp.mean(jnp.square(x)), CONTENT_SCALE)
            for name, x in targets.items()
        }
        style_scales = {
            name: _scale(network, _mean_square(gram, masks.get(name)), STYLE_SCALE)
            for name, gram in grams.items()
        }
        return content_scales, style_scales, targets, grams, masks

    of_content, of_style, targets, grams, masks = look(network.weights, content, style, segments)
    return Constants(network.weights, of_content, of_style, targets, grams, masks, None)


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
    content, style = jnp.zeros(()), jnp.zeros(())
    for name, target in of.content.items():
        content = content + of.content_scales[name] * losses.content_loss(maps[name], target)
    for name, target in of.style.items():
        if of.masks:
            loss = losses.segmented_style_loss(maps[name], of.masks[name], target)
        else:
            loss = losses.style_loss(maps[name], target[0])
        style = style + of.style_scales[name] * loss
    parts = {
        "content": weights.content * content,
        "style": weights.style * style,
        "variation": weights.variation * losses.total_variation(image),
    }
    if of.windows is not None:
        penalty = losses.photorealism_penalty(image / _LEVELS, of.windows)
        parts["photorealism"] = weights.photorealism * penalty
    return sum(parts.values(), start=jnp.zeros(())), parts


def _scale(
    network: StyleNetwork, mean_square: Float[Array, ""], published: float
) -> Float[Array, ""]:
    """What makes a loss as large as that of the published network where its target is missing."""
    if network.published:
        return jnp.ones(())
    return jnp.where(mean_square > 0, published / mean_square, 0.0)


def _mean_square(
    grams: Float[Array, "segments channels channels"], masks: style_masks.Segments | None
) -> Float[Array, ""]:
    """Of Gram matrices, weighted by the areas of their segments in the content."""
    each = jnp.mean(jnp.square(grams), axis=(1, 2))
    return each[0] if masks is None else jnp.sum(jnp.mean(masks, axis=(1, 2)) * each)


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
