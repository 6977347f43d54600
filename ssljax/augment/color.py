"""Colour: jitter, grey and solarization."""

from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ssljax.augment.keys import bernoulli, between, check_probability, fold_keys, uniform
from ssljax.augment.planar import choose, from_planar, to_planar

BrightnessMode = Literal["multiplicative", "additive"]
ContrastMode = Literal["torchvision", "tensorflow"]
"""Contrasts and saturation about grey, or about channel means and in HSV as in TensorFlow."""

_BLENDS = ("brightness", "contrast", "saturation")
# ITU-R BT.601 luma, rounded as torchvision has it.
_LUMA = (0.2989, 0.587, 0.114)


def _check_channels(images: Float[Array, "batch height width channels"]) -> None:
    if images.shape[-1] not in (1, 3):
        raise ValueError(
            f"colour needs 1 or 3 channels, got {images.shape[-1]}: set brightness, contrast, "
            "saturation, hue and gray_p of the views to 0."
        )


def _gray(
    planes: Float[Array, "batch channels height width"],
) -> Float[Array, "batch 1 height width"]:
    if planes.shape[1] == 1:
        return planes
    red, green, blue = (planes[:, i : i + 1] for i in range(3))
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _rotate_hue(
    planes: Float[Array, "batch 3 height width"], turns: Float[Array, " batch"]
) -> Float[Array, "batch 3 height width"]:
    """Turns the hue of HSV, leaving value and saturation alone."""
    red, green, blue = (planes[:, i] for i in range(3))
    high = jnp.maximum(jnp.maximum(red, green), blue)
    low = jnp.minimum(jnp.minimum(red, green), blue)
    chroma = high - low
    inverse = 1.0 / jnp.where(chroma > 0.0, chroma, 1.0)
    sixth = jnp.where(
        red == high,
        (green - blue) * inverse,
        jnp.where(green == high, 2.0 + (blue - red) * inverse, 4.0 + (red - green) * inverse),
    )
    sixth = sixth + 6.0 * turns[:, None, None]
    sixth = sixth - 6.0 * jnp.floor(sixth / 6.0)
    shares = (
        jnp.abs(sixth - 3.0) - 1.0,
        2.0 - jnp.abs(sixth - 2.0),
        2.0 - jnp.abs(sixth - 4.0),
    )
    return jnp.stack([low + chroma * jnp.clip(share, 0.0, 1.0) for share in shares], axis=1)


def _scale_saturation(
    planes: Float[Array, "batch 3 height width"], factors: Float[Array, "batch 1 1 1"]
) -> Float[Array, "batch 3 height width"]:
    """Multiplies the saturation of HSV, at most to 1, leaving value and hue alone."""
    value = jnp.max(planes, axis=1, keepdims=True)
    chroma = value - jnp.min(planes, axis=1, keepdims=True)
    most = jnp.where(chroma > 0.0, value / jnp.where(chroma > 0.0, chroma, 1.0), 1.0)
    return value - jnp.minimum(factors, most) * (value - planes)


def _blend(
    planes: Float[Array, "batch channels height width"],
    factors: Mapping[str, Float[Array, " batch"]],
    chosen: Mapping[str, Bool[Array, " batch"]],
    brightness_mode: BrightnessMode,
    contrast_mode: ContrastMode,
) -> Float[Array, "batch channels height width"]:
    """Applies to each image the one blend that is chosen for it, or none.

    A blend is factor * x + (1 - factor) * reference; the reference is black for brightness, the
    mean grey or each channel's mean for contrast and the grey image for saturation. One expression
    covers the three, with coefficients that differ between images. TensorFlow's saturation is not a
    blend with one factor for all pixels, and is computed separately.
    """
    in_hsv = contrast_mode == "tensorflow" and "saturation" in chosen

    def column(values: Float[Array, " batch"]) -> Float[Array, "batch 1 1 1"]:
        return values[:, None, None, None]

    factor = jnp.ones_like(next(iter(factors.values())))
    for name, mask in chosen.items():
        if name == "saturation" and in_hsv:
            continue
        if name != "brightness" or brightness_mode == "multiplicative":
            factor = jnp.where(mask, factors[name], factor)
    blended = column(factor) * planes
    if "brightness" in chosen and brightness_mode == "additive":
        blended = blended + column(jnp.where(chosen["brightness"], factors["brightness"], 0.0))
    gray = _gray(planes) if contrast_mode == "torchvision" else planes
    if "contrast" in chosen:
        mean = jnp.mean(gray, axis=(2, 3), keepdims=True)
        blended = blended + column(jnp.where(chosen["contrast"], 1.0 - factor, 0.0)) * mean
    if in_hsv:
        saturated = _scale_saturation(planes, column(factors["saturation"]))
        blended = choose(chosen["saturation"], saturated, blended)
    elif "saturation" in chosen:
        blended = blended + column(jnp.where(chosen["saturation"], 1.0 - factor, 0.0)) * gray
    return jnp.clip(blended, 0.0, 1.0)


def apply_color_jitter(
    images: Float[Array, "batch height width channels"],
    factors: Mapping[str, Float[Array, " batch"]],
    positions: Mapping[str, Int[Array, " batch"]],
    brightness_mode: BrightnessMode = "multiplicative",
    contrast_mode: ContrastMode = "torchvision",
) -> Float[Array, "batch height width channels"]:
    """Applies given colour changes in a given order, clipping to [0, 1] after each.

    Hue is by far the most expensive, so it is computed once: the blends that come before it in an
    image's own order are applied first, then hue, then the blends that come after.

    Args:
      images: RGB or grey images in [0, 1].
      factors: The factor per image, for any of "brightness", "contrast", "saturation" and "hue".
        Hue is in turns; brightness is an amount to add where the mode is additive.
      positions: For the same names, the place 0, 1, … in the order of application.
      brightness_mode: "multiplicative" or "additive".
      contrast_mode: "torchvision" or "tensorflow", of contrast and saturation.

    Returns:
      The changed images, in [0, 1].
    """
    blends = [name for name in _BLENDS if name in factors]
    hue_position = positions.get("hue")
    planes = to_planar(images)
    for place in range(len(blends)):
        chosen = {name: positions[name] == place for name in blends}
        if hue_position is not None:
            chosen = {name: mask & (hue_position > place) for name, mask in chosen.items()}
        planes = _blend(planes, factors, chosen, brightness_mode, contrast_mode)
    if hue_position is not None:
        planes = _rotate_hue(planes, factors["hue"])
        for place in range(1, len(blends) + 1):
            later = hue_position < place
            chosen = {name: (positions[name] == place) & later for name in blends}
            planes = _blend(planes, factors, chosen, brightness_mode, contrast_mode)
    return from_planar(planes)


def sample_color_jitter(
    keys: Key[Array, " batch"],
    strengths: Mapping[str, float],
    brightness_mode: BrightnessMode = "multiplicative",
) -> tuple[dict[str, Float[Array, " batch"]], dict[str, Int[Array, " batch"]]]:
    """Samples the factors and the order of a colour jitter.

    Args:
      keys: One key per example.
      strengths: Strength x of each change, all positive: factors are drawn from
        [max(0, 1 - x), 1 + x], hue and additive brightness from [-x, x].
      brightness_mode: "multiplicative" or "additive".

    Returns:
      The factors and the positions that `apply_color_jitter` takes; every order is as likely.
    """
    count = len(strengths)
    draws = uniform(fold_keys(keys, 0), count)
    order = jax.vmap(lambda key: jax.random.permutation(key, count))(fold_keys(keys, 1))
    factors = {}
    for i, (name, strength) in enumerate(strengths.items()):
        symmetric = name == "hue" or (name == "brightness" and brightness_mode == "additive")
        bounds = (-strength, strength) if symmetric else (max(0.0, 1 - strength), 1 + strength)
        factors[name] = between(draws[:, i], bounds)
    return factors, {name: order[:, i] for i, name in enumerate(strengths)}


def color_jitter(
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    p: float = 0.8,
    brightness_mode: BrightnessMode = "multiplicative",
    contrast_mode: ContrastMode = "torchvision",
) -> Float[Array, "batch height width channels"]:
    """Changes brightness, contrast, saturation and hue at random, in a random order.

    A change of strength 0 is left out of the compiled program. Grey images have neither saturation
    nor hue to change.

    Args:
      keys: One key per example.
      images: RGB or grey images in [0, 1].
      brightness: Strength x; the factor is drawn from [max(0, 1 - x), 1 + x].
      contrast: The same for contrast.
      saturation: The same for saturation.
      hue: Largest turn of the hue, as a fraction of the circle, at most 0.5.
      p: Probability that an image is changed at all.
      brightness_mode: "multiplicative", as SimCLR v2 and torchvision have it, or "additive", as
        SimCLR v1: an amount from [-x, x] is added.
      contrast_mode: "torchvision": contrast is about the mean of the grey image, and saturation
        blends with the grey image; or "tensorflow", as SimCLR and BYOL: contrast is about each
        channel's own mean, and saturation is that of HSV, cut off at 1.

    Returns:
      The changed images, in [0, 1].

    Raises:
      ValueError: If a strength, the probability, the mode or the number of channels is
        impossible.

    Reference:
      Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020,
      appendix A.
    """
    check_probability(p)
    given = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
    for name, strength in given.items():
        if not 0.0 <= strength < float("inf"):
            raise ValueError(f"{name} must not be negative or infinite, got {strength}.")
    if hue > 0.5:
        raise ValueError(f"hue must be at most 0.5, half a turn, got {hue}.")
    if brightness_mode not in ("multiplicative", "additive"):
        raise ValueError(
            f"brightness_mode must be 'multiplicative' or 'additive', got {brightness_mode!r}."
        )
    if contrast_mode not in ("torchvision", "tensorflow"):
        raise ValueError(
            f"contrast_mode must be 'torchvision' or 'tensorflow', got {contrast_mode!r}."
        )
    usable = given
    if images.shape[-1] == 1:
        usable = {name: given[name] for name in ("brightness", "contrast")}
    strengths = {name: strength for name, strength in usable.items() if strength > 0.0}
    if p == 0.0 or not strengths:
        return images
    _check_channels(images)
    factors, positions = sample_color_jitter(fold_keys(keys, 0), strengths, brightness_mode)
    jittered = apply_color_jitter(images, factors, positions, brightness_mode, contrast_mode)
    changed = to_planar(jittered)
    return from_planar(choose(bernoulli(fold_keys(keys, 1), p), changed, to_planar(images)))


def to_gray(
    images: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width 1"]:
    """Luma of images, as of ITU-R BT.601.

    Args:
      images: RGB or grey images of any range.

    Returns:
      One channel.

    Raises:
      ValueError: If there are neither one nor three channels.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{to_gray(jnp.array([0.0, 1.0, 0.0]).reshape(1, 1, 1, 3)).item():.3f}")
      0.587
    """
    _check_channels(images)
    return from_planar(_gray(to_planar(images)))


def random_grayscale(
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    p: float = 0.2,
) -> Float[Array, "batch height width channels"]:
    """Replaces images by their grey version at random, keeping the number of channels.

    Args:
      keys: One key per example.
      images: RGB or grey images in [0, 1].
      p: Probability of grey.

    Returns:
      The images, in [0, 1].

    Raises:
      ValueError: If the probability or the number of channels is impossible.
    """
    check_probability(p)
    if p == 0.0 or images.shape[-1] == 1:
        return images
    _check_channels(images)
    planes = to_planar(images)
    gray = jnp.broadcast_to(_gray(planes), planes.shape)
    return from_planar(choose(bernoulli(keys, p), gray, planes))


def solarize(
    keys: Key[Array, " batch"],
    images: Float[Array, "batch height width channels"],
    p: float,
    threshold: float = 0.5,
) -> Float[Array, "batch height width channels"]:
    """Inverts the pixels at or above a threshold, in a random part of the images.

    Args:
      keys: One key per example.
      images: Images in [0, 1].
      p: Probability that an image is solarized.
      threshold: Values x >= threshold become 1 - x; in [0, 1].

    Returns:
      The images, in [0, 1].

    Raises:
      ValueError: If the probability is impossible.

    Reference:
      Grill et al., Bootstrap Your Own Latent, 2020, appendix B.
    """
    check_probability(p)
    if p == 0.0:
        return images
    planes = to_planar(images)
    inverted = jnp.where(planes >= threshold, 1.0 - planes, planes)
    return from_planar(choose(bernoulli(keys, p), inverted, planes))
