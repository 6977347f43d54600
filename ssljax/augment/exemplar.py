"""Patches of a seed image, as Exemplar-CNN makes them: moved, turned, scaled and recoloured."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key

from ssljax.augment.color import to_gray
from ssljax.augment.geometry import reflect, sample
from ssljax.augment.keys import bernoulli, between, fold_keys, uniform


@dataclasses.dataclass(frozen=True)
class ExemplarPolicy:
    """How much the patches of a seed may differ from it.

    Attributes:
      size: Side of a patch in pixels.
      scale: Range of the zoom; with 2 things are twice as large in the patch as in the image.
      shift: Standard deviation of the patch's place about its anchor, as a fraction of `size`.
      degrees: Largest turn, either way.
      flip_p: Probability of a mirrored patch.
      pca: Range of the factors on the three principal components of the patch's colours.
      power: Range of the power of saturation and value.
      factor: Range of the factor on them.
      offset: Largest amount to add to them, either way.
      hue: Largest turn of the hue, either way, as a fraction of the circle.
    """

    size: int
    scale: tuple[float, float] = (0.7, 1.4)
    shift: float = 0.2
    degrees: float = 20.0
    flip_p: float = 0.5
    pca: tuple[float, float] = (0.5, 2.0)
    power: tuple[float, float] = (0.25, 4.0)
    factor: tuple[float, float] = (0.7, 1.4)
    offset: float = 0.1
    hue: float = 0.1

    def __post_init__(self) -> None:
        for name in ("scale", "pca", "power", "factor"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high:
                raise ValueError(
                    f"{name} must be (low, high) with 0 < low <= high, got {low, high}."
                )
        if self.size < 1 or min(self.shift, self.degrees, self.offset, self.hue) < 0:
            raise ValueError("size must be above 0; shift, degrees, offset and hue not below.")


def sobel(
    images: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width"]:
    """Length of the gradient of the images' grey values, by Sobel's filters.

    Args:
      images: RGB or grey images.

    Returns:
      Root of the mean of the two squared differences, a quarter of Sobel's sums each; at the
      border the image goes on as its outermost pixels do.
    """
    x = jnp.pad(to_gray(images)[..., 0], ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = (x[:, :-2] + 2.0 * x[:, 1:-1] + x[:, 2:]) / 4.0
    columns = (x[..., :-2] + 2.0 * x[..., 1:-1] + x[..., 2:]) / 4.0
    across, down = rows[..., 2:] - rows[..., :-2], columns[:, 2:] - columns[:, :-2]
    return jnp.sqrt((jnp.square(across) + jnp.square(down)) / 2.0)


def sample_anchors(
    keys: Key[Array, " batch"], images: Float[Array, "batch height width channels"]
) -> Int[Array, "batch 2"]:
    """Draws a place in each image, with a probability that goes as the gradient there.

    Args:
      keys: One key per image.
      images: RGB or grey images.

    Returns:
      (row, column); anywhere, each place as likely, in an image without a gradient.
    """
    steep = sobel(images)
    batch, _, width = steep.shape
    # What is added is nothing beside one step of a byte, but all there is in a flat image.
    logits = jnp.log(steep.reshape(batch, -1) + 1e-6)
    place = jax.vmap(jax.random.categorical)(keys, logits)
    return jnp.stack([place // width, place % width], axis=1)


def exemplar_patches(
    policy: ExemplarPolicy,
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    anchors: Int[Array, "batch 2"],
) -> Float[Array, "batch size size channels"]:
    """Makes one patch of each image, at its anchor.

    A patch is moved so far that it lies in the image, where it is small enough; what a turn brings
    in is the image's own, and at its borders the image is mirrored. The colours change in two
    steps, about the patch's own principal components and in HSV, after each of which the patch's
    values are spread from 0 to 1, as in the public code. Grey images have one component, and their
    values change as HSV's value does.

    Args:
      policy: The ranges of all changes.
      keys: One key per image.
      images: RGB or grey images in [0, 1].
      anchors: (row, column) in each image.

    Returns:
      Patches in [0, 1].

    Reference:
      Dosovitskiy et al., Discriminative Unsupervised Feature Learning with Convolutional Neural
      Networks (arXiv:1406.6909), 2014, section 2.1; the ranges are those of EricArazo/ExemplarCNN.
    """
    patches = _cut(policy, fold_keys(keys, 0), images, anchors)
    channels = patches.shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"colours need 1 or 3 channels, got {channels}.")
    factors = between(uniform(fold_keys(keys, 1), channels), policy.pca)
    patches = _spread(_scale_components(patches, factors))
    draws = uniform(fold_keys(keys, 2), 4)
    power, factor = between(draws[:, :1], policy.power), between(draws[:, 1:2], policy.factor)
    offset, hue = (2.0 * draws[:, 2:] - 1.0).T
    values = patches if channels == 1 else to_hsv(patches)
    # The last two of HSV, or the only one of grey.
    changed = jnp.power(values[..., -2:], power[:, None, None]) * factor[:, None, None]
    changed = jnp.clip(changed + (policy.offset * offset)[:, None, None, None], 0.0, 1.0)
    if channels == 3:
        turned = values[..., :1] + (policy.hue * hue)[:, None, None, None]
        changed = from_hsv(jnp.concatenate([turned, changed], axis=-1))
    return _spread(changed)


def _cut(
    policy: ExemplarPolicy,
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    anchors: Int[Array, "batch 2"],
) -> Float[Array, "batch size size channels"]:
    """Moves, zooms, turns and mirrors: one bilinear sampling of each image."""
    height, width = images.shape[1:3]
    draws = uniform(fold_keys(keys, 0), 2)
    zoom = between(draws[:, 0], policy.scale)
    angle = jnp.deg2rad(policy.degrees * (2.0 * draws[:, 1] - 1.0))
    moved = jax.vmap(lambda key: jax.random.normal(key, (2,)))(fold_keys(keys, 1))
    mirror = jnp.where(bernoulli(fold_keys(keys, 2), policy.flip_p), -1.0, 1.0)
    centre = anchors.astype(jnp.float32) + policy.shift * policy.size * moved / zoom[:, None]
    half = policy.size / (2.0 * zoom)
    places = []
    for axis, side in enumerate((height, width)):
        low, high = half - 0.5, side - half - 0.5
        fits = jnp.clip(centre[:, axis], low, jnp.maximum(low, high))
        places.append(jnp.where(low <= high, fits, (side - 1) / 2)[:, None, None])
    steps = jnp.arange(policy.size, dtype=jnp.float32) - (policy.size - 1) / 2
    down, across = steps[None, :, None], steps[None, None, :] * mirror[:, None, None]
    cosine = (jnp.cos(angle) / zoom)[:, None, None]
    sine = (jnp.sin(angle) / zoom)[:, None, None]
    rows = reflect(places[0] + cosine * down + sine * across, height)
    columns = reflect(places[1] + cosine * across - sine * down, width)
    return sample(images, columns, rows)


def _scale_components(
    patches: Float[Array, "batch size size channels"], factors: Float[Array, "batch channels"]
) -> Float[Array, "batch size size channels"]:
    """Multiplies each principal component of a patch's colours by a factor, the largest first."""
    batch, *_, channels = patches.shape
    pixels = patches.reshape(batch, -1, channels)
    mean = jnp.mean(pixels, axis=1, keepdims=True)
    pixels = pixels - mean
    highest = lax.Precision.HIGHEST
    covariance = jnp.einsum("bpc,bpd->bcd", pixels, pixels, precision=highest)
    _, axes = jnp.linalg.eigh(covariance)
    scale = jnp.einsum("bck,bk,bdk->bcd", axes, factors[:, ::-1], axes, precision=highest)
    return (jnp.matmul(pixels, scale, precision=highest) + mean).reshape(patches.shape)


def _spread(
    patches: Float[Array, "batch size size channels"],
) -> Float[Array, "batch size size channels"]:
    """Spreads each patch's values from 0 to 1; a patch of one value becomes 0."""
    low = jnp.min(patches, axis=(1, 2, 3), keepdims=True)
    spread = jnp.max(patches, axis=(1, 2, 3), keepdims=True) - low
    flat = spread < 1e-6
    # Powers are taken of what is here, and the smallest may be computed anew, a rounding higher.
    return jnp.where(flat, 0.0, jnp.maximum(patches - low, 0.0) / jnp.where(flat, 1.0, spread))


def to_hsv(rgb: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    """Hue in turns, saturation and value of colours, all in [0, 1]."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    value = jnp.max(rgb, axis=-1)
    chroma = value - jnp.min(rgb, axis=-1)
    inverse = 1.0 / jnp.where(chroma > 0.0, chroma, 1.0)
    sixths = jnp.where(
        red == value,
        (green - blue) * inverse,
        jnp.where(green == value, 2.0 + (blue - red) * inverse, 4.0 + (red - green) * inverse),
    )
    saturation = jnp.where(value > 0.0, chroma / jnp.where(value > 0.0, value, 1.0), 0.0)
    return jnp.stack([sixths / 6.0 % 1.0, saturation, value], axis=-1)


def from_hsv(hsv: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    """Colours of hue, in turns of any number, saturation and value."""
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    channels = []
    for shift in (5.0, 3.0, 1.0):
        sixth = (shift + 6.0 * hue) % 6.0
        share = jnp.clip(jnp.minimum(sixth, 4.0 - sixth), 0.0, 1.0)
        channels.append(value - value * saturation * share)
    return jnp.stack(channels, axis=-1)
