"""Losses of images by what a network sees in them: content, style by segments, and smoothness.

Maps are those of one image. An image is optimised by them, as in neural style and deep photo style
transfer, whose authors' code they follow; the photorealism of the second is a penalty on what is no
local affine recolouring of a photograph.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ssljax.ops.matting_laplacian import laplacian_product


def content_loss(
    maps: Float[Array, "height width channels"], target: Float[Array, "height width channels"]
) -> Float[Array, ""]:
    """The mean squared difference of an image's maps from those of the content.

    Args:
      maps: What one layer gives of the image, (height, width, channels).
      target: The same of the content image.

    Returns:
      The loss. The paper's is half of the sum; the mean, as in jcjohnson/neural-style, does not
      grow with the image.

    Reference:
      Gatys et al., Image Style Transfer Using Convolutional Neural Networks, 2016, eq. 1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(content_loss(jnp.ones((1, 2, 2)), jnp.zeros((1, 2, 2))))
      1.0
    """
    return jnp.mean(jnp.square(_float32(maps) - _float32(target)))


def gram_matrix(
    maps: Float[Array, "height width channels"],
    mask: Float[Array, "height width"] | None = None,
) -> Float[Array, "channels channels"]:
    """Products of channels, averaged: the style of an image, or of a segment of it.

    Args:
      maps: What one layer gives of the image, (height, width, channels).
      mask: How much of each place belongs to the segment, in [0, 1]; None for the whole image. It
        is multiplied with the maps, so that a soft border counts by its square.

    Returns:
      Sums over places, divided by the number of the maps' elements, and by the mask's mean. An
      empty segment has zeros.

    Reference:
      Gatys et al., 2016, eq. 3; divided as in jcjohnson/neural-style and, by segments, in
      luanfujun/deep-photo-styletransfer.

    Example:
      >>> import jax.numpy as jnp
      >>> maps = jnp.array([[[1.0, 2.0], [3.0, 0.0]]])
      >>> print(gram_matrix(maps))
      [[2.5 0.5]
       [0.5 1. ]]
      >>> print(gram_matrix(maps, jnp.array([[1.0, 0.0]])))
      [[0.5 1. ]
       [1.  2. ]]
    """
    maps = _float32(maps)
    elements: Array | float = float(maps.size)
    if mask is not None:
        mask = _float32(mask)
        maps = maps * mask[..., None]
        elements = elements * jnp.mean(mask)
    rows = maps.reshape(-1, maps.shape[-1])
    products = jnp.matmul(rows.T, rows, precision=lax.Precision.HIGHEST)
    return products / jnp.where(elements > 0, elements, 1.0)


def style_loss(
    maps: Float[Array, "height width channels"], target: Float[Array, "channels channels"]
) -> Float[Array, ""]:
    """The mean squared difference of an image's Gram matrix from that of the style.

    Args:
      maps: What one layer gives of the image, (height, width, channels).
      target: `gram_matrix` of what it gives of the style image.

    Reference:
      Gatys et al., 2016, eq. 4, without its factor of a quarter.

    Example:
      >>> import jax.numpy as jnp
      >>> print(style_loss(jnp.ones((1, 1, 2)), jnp.zeros((2, 2))))
      0.25
    """
    return jnp.mean(jnp.square(gram_matrix(maps) - _float32(target)))


def segmented_style_loss(
    maps: Float[Array, "height width channels"],
    masks: Float[Array, "segments height width"],
    targets: Float[Array, "segments channels channels"],
) -> Float[Array, ""]:
    """The style losses of the segments of an image, weighted by their areas.

    Args:
      maps: What one layer gives of the image, (height, width, channels).
      masks: The segments of the content image, in [0, 1], at the size of the maps.
      targets: Gram matrices of the same segments of the style image.

    Returns:
      The sum over segments of the mean squared difference, times the mean of the mask.

    Reference:
      Luan et al., Deep Photo Style Transfer (arXiv:1703.07511), 2017, eq. 3; weighted as in its
      code. There the gradient at soft borders lacks a factor of the mask, here it is the loss's.

    Example:
      >>> import jax.numpy as jnp
      >>> maps = jnp.array([[[1.0], [3.0]]])
      >>> masks = jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]])
      >>> print(segmented_style_loss(maps, masks, jnp.array([[[1.0]], [[5.0]]])))
      8.0
    """
    total = jnp.zeros((), jnp.float32)
    for mask, target in zip(masks, targets, strict=True):
        difference = jnp.mean(jnp.square(gram_matrix(maps, mask) - _float32(target)))
        total = total + jnp.mean(_float32(mask)) * difference
    return total


def total_variation(image: Float[Array, "height width channels"]) -> Float[Array, ""]:
    """Half of the summed squares of differences to the right and lower neighbours.

    Pixels of the last row and column, which lack one of the two, are no centre of a pair, as in
    jcjohnson/neural-style, which uses the gradient alone.

    Args:
      image: In any unit; the weight of the authors' code is for levels from 0 to 255.

    Example:
      >>> import jax.numpy as jnp
      >>> print(total_variation(jnp.array([[[0.0], [1.0]], [[3.0], [9.0]]])))
      5.0
    """
    image = _float32(image)
    corner = image[:-1, :-1]
    right, below = image[:-1, 1:] - corner, image[1:, :-1] - corner
    return 0.5 * (jnp.sum(jnp.square(right)) + jnp.sum(jnp.square(below)))


def photorealism_penalty(
    image: Float[Array, "height width channels"],
    windows: Float[Array, "content_channels 9 _ _"],
) -> Float[Array, ""]:
    """How far an image is from being locally an affine recolouring of a photograph.

    Args:
      image: The image that is made, in [0, 1].
      windows: `ops.matting_laplacian.whitened_windows` of the photograph, at the same size.

    Returns:
      The sum over channels of the quadratic form of the photograph's matting Laplacian: nearly 0
      where each window of 3 x 3 pixels has colours that are an affine function of the
      photograph's.

    Reference:
      Luan et al., 2017, eq. 2; Levin et al., A Closed-Form Solution to Natural Image Matting, 2008.

    Example:
      >>> import jax.numpy as jnp
      >>> import numpy as np
      >>> from ssljax.ops.matting_laplacian import whitened_windows
      >>> photograph = np.linspace(0, 1, 12).reshape(3, 4, 1)
      >>> recoloured = jnp.asarray(1 - 0.5 * photograph, jnp.float32)
      >>> bool(photorealism_penalty(recoloured, jnp.asarray(whitened_windows(photograph))) < 1e-5)
      True
    """
    image = _float32(image)
    return jnp.sum(image * laplacian_product(windows, image))


def _float32(x: Array) -> Array:
    return jnp.asarray(x).astype(jnp.float32)
