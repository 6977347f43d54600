"""Augmentation of patches, each by itself, as CPC v2 has it."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from ssljax.augment.color import color_jitter, random_grayscale, to_gray
from ssljax.augment.geometry import warp
from ssljax.augment.keys import bernoulli, check_probability, fold_keys, uniform
from ssljax.augment.shortcuts import one_channel

_WARPS = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_TONES = (
    "autocontrast",
    "invert",
    "solarize",
    "posterize",
    "contrast",
    "color",
    "brightness",
    "cutout",
)
_SHEAR, _SHIFT, _DEGREES, _CUT = 0.3, 150 / 331, 30.0, 60 / 331
"""AutoAugment's largest amounts, lengths as shares of the side of its 331 pixels."""
_FILL = 0.5


def augment_patches(
    keys: Key[Array, " batch"],
    patches: Float[Array, "batch height width channels"],
    operations: int = 2,
    shear_p: float = 0.2,
    jitter_p: float = 0.8,
    gray_p: float = 0.25,
) -> Float[Array, "batch height width channels"]:
    """Changes every patch at random, as the patches of CPC v2 are changed.

    Some operations of AutoAugment, each of any strength in its range; then a shear, a jitter of the
    colours as for Inception, and grey. All that moves pixels is done in one warp, before what
    changes their values. Of AutoAugment's sixteen operations three are left out (equalize,
    sharpness, sample pairing), and of the paper's own list elastic deformation and the changes of
    colour histograms.

    Args:
      keys: One key per patch.
      patches: Patches in [0, 1].
      operations: How many of AutoAugment's operations are drawn for each patch.
      shear_p: Probability of a further shear.
      jitter_p: Probability of colour jitter.
      gray_p: Probability of grey.

    Returns:
      The patches, in [0, 1].

    Raises:
      ValueError: If a number is impossible.

    Reference:
      Hénaff et al., Data-Efficient Image Recognition with Contrastive Predictive Coding
      (arXiv:1905.09272), 2019, appendix A; Cubuk et al., AutoAugment (arXiv:1805.09501), 2018,
      table 6; for the colours Szegedy et al., Going Deeper with Convolutions, 2014.
    """
    check_probability(shear_p)
    if operations < 0:
        raise ValueError(f"operations must not be negative, got {operations}.")
    height, width = patches.shape[1:3]
    chosen, strengths = [], []
    matrices = jnp.broadcast_to(jnp.eye(3), (patches.shape[0], 3, 3))
    for number in range(operations):
        draws = uniform(fold_keys(keys, number), 2)
        count = len(_WARPS) + len(_TONES)
        chosen.append(jnp.floor(draws[:, 0] * count).astype(jnp.int32))
        strengths.append(2.0 * draws[:, 1] - 1.0)
        matrices = _chain(matrices, _warps(chosen[-1], strengths[-1], height, width))
    if shear_p:
        own = fold_keys(keys, operations)
        which = jnp.where(bernoulli(fold_keys(own, 0), shear_p), 0, len(_WARPS))
        strength = 2.0 * uniform(fold_keys(own, 1), 1)[:, 0] - 1.0
        matrices = _chain(matrices, _warps(which, strength, height, width))
    if operations or shear_p:
        patches = warp(patches, matrices, _FILL)
    for number in range(operations):
        own = fold_keys(fold_keys(keys, number), 1)
        patches = _tones(own, patches, chosen[number] - len(_WARPS), strengths[number])
    patches = color_jitter(
        fold_keys(keys, operations + 1),
        patches,
        32 / 255,
        0.5,
        0.5,
        0.2,
        jitter_p,
        brightness_mode="additive",
    )
    return random_grayscale(fold_keys(keys, operations + 2), patches, gray_p)


def drop_channels(
    keys: Key[Array, " batch"], patches: Float[Array, "batch height width channels"], p: float
) -> Float[Array, "batch height width channels"]:
    """Sets all channels but one to 0 at random: colour drop.

    Args:
      keys: One key per patch.
      patches: Patches of any range; normalised, 0 is the mean colour.
      p: Probability that a patch keeps one channel, each as likely, instead of all.

    Returns:
      The patches; those of a single channel are not changed.

    Raises:
      ValueError: If the probability is impossible.

    Reference:
      Doersch et al., Unsupervised Visual Representation Learning by Context Prediction
      (arXiv:1505.05192), 2015, section 3.1.
    """
    check_probability(p)
    channels = patches.shape[-1]
    if p == 0.0 or channels == 1:
        return patches
    whole = ~bernoulli(fold_keys(keys, 1), p)[:, None]
    mask = one_channel(fold_keys(keys, 0), channels) | whole
    return jnp.where(mask[:, None, None], patches, 0.0)


def _chain(
    first: Float[Array, "batch 3 3"], second: Float[Array, "batch 3 3"]
) -> Float[Array, "batch 3 3"]:
    return jnp.matmul(first, second, precision=lax.Precision.HIGHEST)


def _warps(
    which: Int[Array, " batch"], strength: Float[Array, " batch"], height: int, width: int
) -> Float[Array, "batch 3 3"]:
    """The matrices of the chosen operations; those that move no pixels have the identity."""

    def amount(name: str, most: float) -> Float[Array, " batch"]:
        return jnp.where(which == _WARPS.index(name), most * strength, 0.0)

    x, y = (width - 1) / 2, (height - 1) / 2
    angle = jnp.deg2rad(amount("rotate", _DEGREES))
    across = amount("shear_x", _SHEAR) - jnp.sin(angle)
    down = amount("shear_y", _SHEAR) + jnp.sin(angle)
    cosine, zero, one = jnp.cos(angle), jnp.zeros_like(angle), jnp.ones_like(angle)
    # One operation is chosen at most, so that the amounts of the others are 0. All turn about the
    # centre.
    rows = [
        [cosine, across, x - cosine * x - across * y + amount("translate_x", _SHIFT * width)],
        [down, cosine, y - down * x - cosine * y + amount("translate_y", _SHIFT * height)],
        [zero, zero, one],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _tones(
    keys: Key[Array, " batch"],
    patches: Float[Array, "batch height width channels"],
    which: Int[Array, " batch"],
    strength: Float[Array, " batch"],
) -> Float[Array, "batch height width channels"]:
    """Applies to each patch the one operation on values that is chosen for it, if any."""

    def column(values: Shaped[Array, " batch"]) -> Shaped[Array, "batch 1 1 1"]:
        return values[:, None, None, None]

    def blend(other: Float[Array, "batch #height #width #channels"]) -> Array:
        factor = column(1.0 + 0.9 * strength)
        return jnp.clip(factor * patches + (1.0 - factor) * other, 0.0, 1.0)

    gray = jnp.broadcast_to(to_gray(patches), patches.shape)
    low = jnp.min(patches, axis=(1, 2), keepdims=True)
    spread = jnp.max(patches, axis=(1, 2), keepdims=True) - low
    share = column((1.0 + strength) / 2.0)
    levels = jnp.exp2(4.0 + jnp.floor(share * 5.0)) - 1.0
    done = {
        "autocontrast": jnp.where(spread > 0, (patches - low) / jnp.where(spread > 0, spread, 1), 0)
        + jnp.where(spread > 0, 0.0, low),
        "invert": 1.0 - patches,
        "solarize": jnp.where(patches >= share, 1.0 - patches, patches),
        "posterize": jnp.floor(patches * levels) / levels,
        "contrast": blend(jnp.mean(gray, axis=(1, 2), keepdims=True)),
        "color": blend(gray),
        "brightness": blend(jnp.zeros_like(gray)),
        "cutout": jnp.where(_hole(keys, patches.shape, share[:, 0, 0, 0]), _FILL, patches),
    }
    result = patches
    for number, name in enumerate(_TONES):
        result = jnp.where(column(which == number), done[name], result)
    return result


def _hole(
    keys: Key[Array, " batch"], shape: tuple[int, ...], share: Float[Array, " batch"]
) -> Bool[Array, "batch height width 1"]:
    """Where a square lies of at most `_CUT` of a side, somewhere in the patch; at least a pixel."""
    draws = uniform(keys, 2)
    inside = []
    for axis, side in enumerate(shape[1:3]):
        length = jnp.maximum(1.0, jnp.round(_CUT * side * share))
        start = jnp.floor(draws[:, axis] * (side - length + 1.0))
        places = jnp.arange(side, dtype=jnp.float32)[None]
        inside.append((places >= start[:, None]) & (places < (start + length)[:, None]))
    return inside[0][:, :, None, None] & inside[1][:, None, :, None]
